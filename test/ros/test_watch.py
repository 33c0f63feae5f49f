# SPDX-License-Identifier: Apache-2.0
"""What the driver says of a camera that does not show every tick."""

from types import SimpleNamespace
from typing import Any

import rclpy

from td3_driver.online.timing import Cadence
from td3_driver.ros.driver.conditions import Conditions
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.driver.watch import Watch
from td3_driver.ros.names import EgoTopics

TICK_NS = 50_000_000


def seen(cadence: Cadence, every: int, first: int = 1) -> None:
    """So many ticks that the period is known."""
    for tick in range(first, first + 8 * every):
        cadence.tick(tick * TICK_NS)
        if tick % every == 0:
            cadence.picture(tick * TICK_NS)


def test_a_slow_camera_is_told_of_once_also_when_time_begins_anew() -> None:
    """Until two pictures have come, its period is not known."""
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("driver", context=context)
    cadence = Cadence()
    intake: Any = SimpleNamespace(cadence=cadence)
    commander: Any = SimpleNamespace(lockstep=True)
    topics = EgoTopics("hero", "front", "control")
    conditions = Conditions(node.get_logger())
    try:
        watch = Watch(DriverParameters(), topics, intake, commander, conditions, node)
        assert watch.cadence() == ""
        seen(cadence, 4)
        assert "a picture every 0.2 s, in one tick of 4: 5 decisions a second" in watch.cadence()
        assert watch.cadence() == ""
        cadence.picture(TICK_NS)  # of a world begun anew
        assert cadence.period_s == 0.0
        assert watch.cadence() == ""
        seen(cadence, 4, first=2)
        assert watch.cadence() == ""
    finally:
        node.destroy_node()
        context.try_shutdown()
