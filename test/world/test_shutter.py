# SPDX-License-Identifier: Apache-2.0
"""In which ticks a camera with a `sensor_tick` delivers."""

import pytest

from td3_driver.world.camera.shutter import Shutter

TICK_NS = 50_000_000


@pytest.mark.parametrize(
    ("sensor_tick_s", "expected"),
    [
        (0.0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (0.02, [1, 2, 3, 4, 5, 6, 7, 8]),
        (0.05, [1, 2, 3, 4, 5, 6, 7, 8]),
        (0.1, [1, 3, 5, 7]),
        (0.15, [1, 4, 7]),
        (0.125, [1, 4, 6]),
        (0.075, [1, 3, 4, 6, 7]),
        (5.0, [1]),
    ],
)
def test_the_rate_is_kept(sensor_tick_s: float, expected: list[int]) -> None:
    shutter = Shutter(sensor_tick_s)
    assert [tick for tick in range(1, 9) if shutter.opens(tick * TICK_NS)] == expected


def test_what_was_missed_is_not_made_up_for() -> None:
    """A camera that was away for a while goes on in its rhythm."""
    shutter = Shutter(0.1)
    assert shutter.opens(TICK_NS)
    assert [tick for tick in range(12, 18) if shutter.opens(tick * TICK_NS)] == [12, 13, 15, 17]
