# SPDX-License-Identifier: Apache-2.0
"""Starts what takes seconds to import: `python -m td3_driver.start MODULE [ARGUMENT...]`.

A signal that comes before the module can handle it ends the process at once, with exit code 0:
nothing was begun that could be saved. Python's own answer to Ctrl-C is a traceback out of
whatever was being imported.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

from td3_driver import signals

# Before a command line that comes here: until then Ctrl-C waits, instead of meeting Python's own
# start. Blocked signals are inherited, so nothing that does not come here may be started with it.
UNINTERRUPTED = ["env", "--block-signal=INT"]


def driver_node() -> None:
    """Entry point of the executable `driver_node`."""
    start("td3_driver.ros.driver.node")


def world_node() -> None:
    """Entry point of the executable `world_node`."""
    start("td3_driver.bridge_twin.world_node")


def start(module: str) -> None:
    """Import a module and call its `main`."""
    signals.handle(lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.ENDING)
    importlib.import_module(module).main()


if __name__ == "__main__":
    start(sys.argv.pop(1))
