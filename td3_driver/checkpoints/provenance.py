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
    import torch  # here: it takes seconds, and who writes a file has it already

    return {
        "package": package_version(),
        "git": _git_revision(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def package_version() -> str:
    """The version of this package, or "unknown" where it is not installed."""
    try:
        return metadata.version("td3_driver")
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
