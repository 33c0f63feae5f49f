# SPDX-License-Identifier: Apache-2.0
"""The versions of the software that writes a file."""

from __future__ import annotations

import functools
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import numpy as np


def provenance() -> dict[str, str]:
    """Versions and the time, UTC: a checkpoint's key `provenance`."""
    return {
        "package": package_version(),
        "git": _git_revision(),
        # Not torch's own word: importing it takes seconds, and `td3_driver train` does without.
        "torch": package_version("torch"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def package_version(name: str = "td3_driver") -> str:
    """The version of a package, of this one by default, or "unknown" where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


@functools.lru_cache(maxsize=1)
def _git_revision() -> str:
    """The checked-out revision, or "unknown" outside a repository or without git."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5.0
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
