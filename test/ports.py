# SPDX-License-Identifier: Apache-2.0
"""TCP ports for servers that tests start."""

import random
import socket


def free_port() -> int:
    """A port that nobody listens at, with the next one."""
    # Below those that the system hands out itself.
    for port in random.SystemRandom().sample(range(20_000, 30_000, 2), 100):
        try:
            for each in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("", each))
        except OSError:
            continue
        return port
    raise AssertionError("no free ports")
