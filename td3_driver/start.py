# SPDX-License-Identifier: Apache-2.0
"""Starts a module that takes seconds to import: `python -m td3_driver.start MODULE [ARGUMENT...]`.

A signal that comes before the module can handle it ends the process at once, with exit code 0:
there is nothing to save yet. Python itself would answer Ctrl-C with a traceback from the import.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

from td3_driver import signals

# Prefix of a command line that runs this module: until it runs, Ctrl-C waits instead of
# interrupting Python's start. Blocked signals are inherited, so start nothing else with it.
UNINTERRUPTED = ["env", "--block-signal=INT"]


def driver_node() -> None:
    """Start `driver_node`."""
    start("td3_driver.ros.driver.node")


def world_node() -> None:
    """Start `world_node`."""
    start("td3_driver.bridge_twin.world_node")


def start(module: str) -> None:
    """Import a module and call its `main`."""
    signals.handle(lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.ENDING)
    importlib.import_module(module).main()


if __name__ == "__main__":
    start(sys.argv.pop(1))
