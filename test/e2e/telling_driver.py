# SPDX-License-Identifier: Apache-2.0
"""`driver_node`, which prints the tick and the action of each step that it stores."""

from typing import Any

from td3_driver.driving.driver import Driver
from td3_driver.ros.driver.node import main

_judge = Driver._judge


def _telling(self: Driver, episode: Any, frame: Any, now: Any, *more: Any) -> Any:
    action = self._action.tolist()
    report = _judge(self, episode, frame, now, *more)
    print("STORED", now.ego.stamp_ns, *action, flush=True)
    return report


if __name__ == "__main__":
    Driver._judge = _telling  # type: ignore[method-assign]
    main()
