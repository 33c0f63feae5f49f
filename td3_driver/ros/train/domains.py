# SPDX-License-Identifier: Apache-2.0
"""ROS domains that nobody uses, and their restriction to this machine. Needs no ROS."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

# Ports of higher domains are also handed out to clients.
DOMAINS = range(1, 102)
LAST_DOMAIN = 232  # that UDP has ports for
# RTPS 2.5, 9.6.2.3: a domain's base port, and the offset of its first participant's discovery.
_PORT_BASE, _DOMAIN_GAIN, _DISCOVERY_OFFSET = 7400, 250, 10

_held: list[IO[bytes]] = []


def claim(domains: Iterable[int] = DOMAINS) -> int:
    """Claim a domain that nobody uses, for as long as this process lives.

    Other claims skip it. Two runs in one domain hear each other: worlds obey both drivers, and
    both learn from a mixture.

    Raises:
        RuntimeError: there is none.
    """
    choice = list(domains)
    random.SystemRandom().shuffle(choice)
    for domain in choice:
        path = Path(tempfile.gettempdir()) / f"td3_driver_domain_{domain}.lock"
        try:
            lock = path.open("ab")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by another run, perhaps another user's
            continue
        if _is_quiet(domain):
            _held.append(lock)
            return domain
        lock.close()
    raise RuntimeError(f"all ROS domains are in use: {min(choice)} to {max(choice)}")


def this_machine_only() -> tuple[str, str]:
    """Return the environment variable and value that hide nodes from the network.

    It takes effect at `rclpy.init`. Humble has another one, about which Jazzy warns.
    """
    if os.environ.get("ROS_DISTRO") == "humble":
        return "ROS_LOCALHOST_ONLY", "1"
    return "ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"


def _is_quiet(domain: int) -> bool:
    """Whether no participant of this machine listens in a domain."""
    port = _PORT_BASE + _DOMAIN_GAIN * domain + _DISCOVERY_OFFSET
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
