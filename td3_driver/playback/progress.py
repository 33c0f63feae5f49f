# SPDX-License-Identifier: Apache-2.0
"""A progress bar for the reading of bags."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} messages [{elapsed}<{remaining}]"


class Progress:
    """A progress bar, shown only in a terminal."""

    def __init__(self) -> None:
        quiet = not sys.stderr.isatty()
        self._bar: Any = tqdm(total=0, bar_format=BAR, dynamic_ncols=True, disable=quiet)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, messages: int) -> None:
        """Add a number of messages that are still to be read."""
        self._bar.total += messages

    def step(self) -> None:
        """Count one message as read."""
        self._bar.update()
