# SPDX-License-Identifier: Apache-2.0
"""Preparing the folder of a run's files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def prepare_folder(folder: Path, name: str = "checkpoint folder") -> None:
    """Make a folder and check that files can be written there.

    Raises:
        OSError: they cannot be; the message names the folder and calls it `name`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{name} {folder}: cannot write there ({reason})") from error
