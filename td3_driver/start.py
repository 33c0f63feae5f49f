# SPDX-License-Identifier: Apache-2.0
"""Starts what takes seconds to import: `python -m td3_driver.start MODULE [ARGUMENT...]`.

A signal that comes before the module can handle it ends the process at once, with exit code 0:
nothing was begun that could be saved. Python's own answer to Ctrl-C is a traceback out of
whatever was being imported.
"""

from __future__ import annotations

import importlib
import os
import sys

from td3_driver import signals


def driver_node() -> None:
    """Entry point of the executable `driver_node`."""
    start("td3_driver.ros.driver_node")


def world_node() -> None:
    """Entry point of the executable `world_node`."""
    start("td3_driver.world.world_node")


def start(module: str) -> None:
    """Import a module and call its `main`."""
    signals.handle(lambda *_: os._exit(0))
    importlib.import_module(module).main()


if __name__ == "__main__":
    start(sys.argv.pop(1))
