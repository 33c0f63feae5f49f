# SPDX-License-Identifier: Apache-2.0
"""ROS domains that no other test run on this machine is using."""

from __future__ import annotations

import fcntl
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

_held: list[IO[bytes]] = []


def claim(domains: Iterable[int]) -> int:
    """One of the domains, for as long as this process lives; others' runs pass it over.

    Two runs in one domain hear each other: worlds answer to both drivers, and tests fail in ways
    that their code does not explain.
    """
    choice = list(domains)
    random.SystemRandom().shuffle(choice)
    for domain in choice:
        path = Path(tempfile.gettempdir()) / f"td3_driver_domain_{domain}.lock"
        try:
            lock = path.open("ab")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another run holds it, perhaps another user's
            continue
        _held.append(lock)
        return domain
    raise RuntimeError(f"all domains are in use: {sorted(choice)}")
