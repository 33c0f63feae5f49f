# SPDX-License-Identifier: Apache-2.0
"""The folder of a run's files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def prepare_folder(folder: Path) -> None:
    """Make the checkpoint folder and see that files can be written there.

    Raises:
        OSError: they cannot; the message names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"checkpoint folder {folder}: cannot write there ({reason})") from error
