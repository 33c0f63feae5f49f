# SPDX-License-Identifier: Apache-2.0
"""Entry points of the nodes, quiet also when they are asked to end before they have begun.

Imports take seconds, in which Python would answer Ctrl-C with a traceback. Who starts a node with
SIGINT blocked loses none in the moments before Python comes here either.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module

EARLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# For the start of a command line: Python's own start is spared the signal.
SIGINT_LATER = ["env", "--block-signal=INT"]


def driver_node() -> None:
    """Entry point of `driver_node`."""
    _start("td3_driver.ros.driver_node")


def world_node() -> None:
    """Entry point of `world_node`."""
    _start("td3_driver.world.world_node")


def _start(module: str) -> None:
    for number in EARLY:  # until the node has its own (`Stop`)
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it ignored
            # Nothing is there yet that would have to be saved or closed, and nobody between here
            # and an importing module's `except` may keep the process.
            signal.signal(number, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, EARLY)
    import_module(module).main()
