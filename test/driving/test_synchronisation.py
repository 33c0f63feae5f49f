# SPDX-License-Identifier: Apache-2.0
"""The car between two odometries."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.driving.messages.synchronisation import TOLERANCE_S, Sync, at, interpolated
from td3_driver.driving.types import EgoState, Pose, wrap_angle

MS = 1_000_000
BEFORE = EgoState(100 * MS, Pose(1.0, 2.0, 3.0, 0.5), 5.0, 0.1, 0.2)
AFTER = EgoState(120 * MS, Pose(1.1, 2.4, -3.0, 0.7), 7.0, 0.3, -0.2)
TOLERANCE_NS = Sync().tolerance_ns


def test_numbers_are_linear_and_the_heading_takes_the_short_way() -> None:
    """From 3 rad to -3 rad it is 0.283 rad to the left, over pi."""
    half = interpolated(BEFORE, AFTER, 110 * MS)
    turned = 2.0 * math.pi - 6.0
    assert half.stamp_ns == 110 * MS
    assert (half.pose.x_m, half.pose.y_m, half.pose.z_m) == pytest.approx((1.05, 2.2, 0.6))
    assert half.pose.yaw_rad == pytest.approx(wrap_angle(3.0 + 0.5 * turned))
    motion = (half.speed_mps, half.lateral_speed_mps, half.yaw_rate_radps)
    assert motion == pytest.approx((6.0, 0.2, 0.0))
    quarter = interpolated(BEFORE, AFTER, 105 * MS)
    assert quarter.pose.yaw_rad == pytest.approx(wrap_angle(3.0 + 0.25 * turned))


def test_at_its_own_stamps_it_is_the_odometry_itself() -> None:
    assert interpolated(BEFORE, AFTER, BEFORE.stamp_ns) is BEFORE
    assert interpolated(BEFORE, AFTER, AFTER.stamp_ns) is AFTER
    for mode in ("exact", "nearest", "interpolate"):
        assert at(BEFORE.stamp_ns, BEFORE, AFTER, mode, TOLERANCE_NS) is BEFORE


@given(
    yaws=st.tuples(st.floats(-math.pi, math.pi), st.floats(-math.pi, math.pi)),
    share=st.floats(0.0, 1.0),
)
def test_the_heading_never_turns_by_more_than_from_one_to_the_other(
    yaws: tuple[float, float], share: float
) -> None:
    one, other = (
        replace(ego, pose=Pose(0.0, 0.0, yaw))
        for ego, yaw in zip((BEFORE, AFTER), yaws, strict=True)
    )
    found = interpolated(one, other, 100 * MS + round(20 * MS * share))
    whole = abs(wrap_angle(yaws[1] - yaws[0]))
    first = abs(wrap_angle(found.pose.yaw_rad - yaws[0]))
    second = abs(wrap_angle(yaws[1] - found.pose.yaw_rad))
    assert first + second == pytest.approx(whole, abs=1e-9)


def test_modes_and_tolerance() -> None:
    """The tolerance holds for each neighbour, at it they count."""
    when = 104 * MS
    assert at(when, BEFORE, AFTER, "exact", TOLERANCE_NS) is None
    nearest = at(when, BEFORE, AFTER, "nearest", TOLERANCE_NS)
    assert nearest == replace(BEFORE, stamp_ns=when)
    assert at(117 * MS, BEFORE, AFTER, "nearest", 3 * MS) == replace(AFTER, stamp_ns=117 * MS)
    assert at(when, BEFORE, AFTER, "nearest", 3 * MS) is None
    assert at(when, BEFORE, AFTER, "interpolate", 16 * MS) is not None
    assert at(when, BEFORE, AFTER, "interpolate", 15 * MS) is None
    assert at(when, BEFORE, None, "interpolate", TOLERANCE_NS) is None
    assert at(when, None, AFTER, "interpolate", TOLERANCE_NS) is None
    assert at(when, BEFORE, None, "nearest", TOLERANCE_NS) is not None
    assert at(when, None, None, "nearest", TOLERANCE_NS) is None


def test_a_car_that_was_put_elsewhere_is_not_between() -> None:
    moved = replace(AFTER, pose=Pose(30.0, 2.0, 0.0))
    assert at(110 * MS, BEFORE, moved, "interpolate", TOLERANCE_NS) is None


def test_the_command_line_has_the_same_choices() -> None:
    from td3_driver import arguments
    from td3_driver.driving.messages.synchronisation import MODES

    assert arguments.SYNC_MODES == MODES
    assert arguments.TOLERANCE_S == TOLERANCE_S
