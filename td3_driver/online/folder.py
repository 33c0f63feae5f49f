# SPDX-License-Identifier: Apache-2.0
"""The folder of a run's files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def prepare_folder(folder: Path, name: str = "checkpoint folder") -> None:
    """Make a folder and see that files can be written there.

    Raises:
        OSError: they cannot; the message names the folder, as `name`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{name} {folder}: cannot write there ({reason})") from error
