# SPDX-License-Identifier: Apache-2.0
"""A program of this package in which one function raises as soon as a file is there.

`SPOILED="WHERE ERROR FILE" raising.py MODULE ARGUMENT...` runs `td3_driver.MODULE`'s `main` with
the arguments; WHERE is `package.module:Class.method` or `package.module:function`, ERROR a
built-in exception. A process that it spawns, as the learner, is spoiled in the same way.
"""

import builtins
import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

SAID = "broken on purpose"


def spoil(where: str, error: str, file: str) -> None:
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    sound = getattr(owner, name)

    @functools.wraps(sound)
    def spoiled(*arguments: Any, **named: Any) -> Any:
        if Path(file).exists():
            raise getattr(builtins, error)(SAID)
        return sound(*arguments, **named)

    setattr(owner, name, spoiled)


# A learner has no ROS, and need not import it to have nothing of it spoiled.
if __name__ == "__main__" or (
    __name__ == "__mp_main__" and not os.environ["SPOILED"].startswith(("td3_driver.ros", "rclpy"))
):
    spoil(*os.environ["SPOILED"].split())

if __name__ == "__main__":
    program = importlib.import_module(f"td3_driver.{sys.argv.pop(1)}")
    program.main()
