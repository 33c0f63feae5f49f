# SPDX-License-Identifier: Apache-2.0
"""Who is in the way, how soon, and how fast is safe behind them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from td3_driver.driving.episode import Episode, EpisodeConfig
from td3_driver.driving.reward import RewardConfig, reward_terms
from td3_driver.driving.road_users import (
    FRONT_M,
    HALF_WIDTH_M,
    LOOK_AHEAD_M,
    NOBODY,
    SIDE_MARGIN_M,
    Leader,
    RoadUsers,
    leader,
)
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.types import EgoState, Pose

EAST = Route(np.array([(0.0, 0.0), (500.0, 0.0)]))
SIZE_M = (4.0, 2.0)
REWARD = RewardConfig()


def users(*rows: tuple[float, float, float, float], yaw_rate_radps: float = 0.0) -> RoadUsers:
    """Cars of `SIZE_M` at x, y, yaw, with a speed along their yaw."""
    given = np.array(rows, np.float64)
    along = np.column_stack([np.cos(given[:, 2]), np.sin(given[:, 2])])
    sizes = np.tile(np.array(SIZE_M), (len(rows), 1))
    rates = np.full(len(rows), yaw_rate_radps)
    ids, walking = np.arange(len(rows)), np.zeros(len(rows), np.bool_)
    return RoadUsers(given[:, :3], sizes, along * given[:, 3:], rates, ids, walking)


def ego(x_m: float, speed_mps: float, step: int = 0) -> EgoState:
    return EgoState(step * 50_000_000, Pose(x_m, 0.0, 0.0), speed_mps)


@given(st.floats(0.0, LOOK_AHEAD_M - 2.0), st.floats(-0.9, 0.9), st.floats(0.0, 10.0))
def test_the_gap_is_from_bumper_to_bumper(gap_m: float, y_m: float, speed_mps: float) -> None:
    rear_m = FRONT_M + gap_m
    found = leader(users((100.0 + rear_m + SIZE_M[0] / 2, y_m, 0.0, speed_mps)), EAST, 100.0)
    assert found is not None
    assert found.gap_m == pytest.approx(gap_m, abs=0.51)
    assert found.speed_mps == pytest.approx(speed_mps)


def test_who_is_beside_the_way_is_not_in_it() -> None:
    side_m = HALF_WIDTH_M + SIDE_MARGIN_M + SIZE_M[1] / 2
    assert leader(users((115.0, side_m + 0.01, 0.0, 5.0)), EAST, 100.0) is None
    assert leader(users((115.0, side_m - 0.01, 0.0, 5.0)), EAST, 100.0) is not None
    behind, far = (100.0 + FRONT_M - 4.0, 0.0, 0.0, 9.0), (160.0, 0.0, 0.0, 0.0)
    assert leader(users(behind, far), EAST, 100.0) is None
    assert leader(NOBODY, EAST, 100.0) is None


def test_a_long_one_counts_from_its_near_end() -> None:
    train = replace(users((200.0, 0.0, 0.0, 0.0)), sizes_m=np.array([[180.0, 3.0]]))
    found = leader(train, EAST, 100.0 - FRONT_M)
    assert found is not None
    assert found.gap_m == pytest.approx(10.0, abs=0.51)


def test_the_nearest_counts_and_a_crossing_one_has_no_speed_along_the_way() -> None:
    crossing, ahead = (112.0, 0.0, math.pi / 2, 6.0), (125.0, 0.0, 0.0, 6.0)
    found = leader(users(ahead, crossing), EAST, 100.0)
    assert found is not None
    assert found.gap_m == pytest.approx(112.0 - SIZE_M[1] / 2 - 100.0 - FRONT_M, abs=0.51)
    assert found.speed_mps == pytest.approx(0.0, abs=1e-9)


def test_who_is_about_to_cross_is_in_the_way_already() -> None:
    crossing, standing = (112.0, 8.0, -math.pi / 2, 6.0), (112.0, 8.0, -math.pi / 2, 0.0)
    found = leader(users(crossing), EAST, 100.0)
    assert found is not None
    assert found.gap_m == pytest.approx(112.0 - SIZE_M[1] / 2 - 100.0 - FRONT_M, abs=0.51)
    assert found.speed_mps == pytest.approx(0.0, abs=1e-9)
    assert leader(users(standing), EAST, 100.0) is None
    away = (112.0, 8.0, math.pi / 2, 6.0)
    assert leader(users(away), EAST, 100.0) is None


def test_who_follows_the_car_is_not_foreseen_ahead_of_it() -> None:
    assert leader(users((90.0, 0.0, 0.0, 14.0)), EAST, 100.0) is None


def test_who_turns_is_foreseen_along_the_turn() -> None:
    """Oncoming, in the other lane of a bend to the left: straight on it would cross ours."""
    angles = np.linspace(0.0, math.pi / 2, 40)
    bend = Route(12.0 * np.column_stack([np.sin(angles), 1.0 - np.cos(angles)]))
    inner_m, at = 8.5, math.pi / 3
    oncoming = (inner_m * math.sin(at), 12.0 - inner_m * math.cos(at), at + math.pi, 5.0)
    assert leader(users(oncoming, yaw_rate_radps=-5.0 / inner_m), bend, 0.0) is None
    assert leader(users(oncoming), bend, 0.0) is not None


@given(st.floats(-3.0, 3.0), st.floats(0.0, 10.0), st.floats(-0.7, 0.7), st.floats(0.0, 1.5))
def test_keeping_speed_and_yaw_rate_leads_along_a_circle(
    yaw_rad: float, speed_mps: float, rate_radps: float, time_s: float
) -> None:
    assume(abs(rate_radps) > 1e-3)
    after = users((1.0, 2.0, yaw_rad, speed_mps), yaw_rate_radps=rate_radps).after(time_s)
    turned = yaw_rad + rate_radps * time_s
    radius_m = speed_mps / rate_radps
    x_m = 1.0 + radius_m * (math.sin(turned) - math.sin(yaw_rad))
    y_m = 2.0 - radius_m * (math.cos(turned) - math.cos(yaw_rad))
    assert after.poses[0] == pytest.approx((x_m, y_m, turned), abs=1e-6)
    assert after.velocities_mps[0] == pytest.approx(
        (speed_mps * math.cos(turned), speed_mps * math.sin(turned))
    )


def test_it_follows_the_route_round_a_bend() -> None:
    bend = Route(np.array([(0.0, 0.0), (20.0, 0.0), (20.0, 40.0)]))
    round_the_corner, straight_on = (20.0, 12.0, math.pi / 2, 4.0), (34.0, 0.0, 0.0, 4.0)
    found = leader(users(round_the_corner, straight_on), bend, 5.0)
    assert found is not None
    assert found.gap_m == pytest.approx(20.0 - 5.0 - FRONT_M + 12.0 - SIZE_M[0] / 2, abs=0.6)
    assert found.speed_mps == pytest.approx(4.0)


def test_time_to_collision_is_the_gap_over_the_closing_speed() -> None:
    assert Leader(20.0, 4.0).time_to_collision_s(8.0) == pytest.approx(5.0)
    assert Leader(20.0, -4.0).time_to_collision_s(8.0) == pytest.approx(20.0 / 12.0)
    assert Leader(20.0, 8.0).time_to_collision_s(8.0) == math.inf
    assert Leader(20.0, 9.0).time_to_collision_s(8.0) == math.inf


@given(st.floats(3.0, 40.0), st.floats(0.0, 12.0))
def test_from_the_safe_speed_the_car_can_still_stop(gap_m: float, ahead_mps: float) -> None:
    """The leader brakes as hard as it may; the car does so when the headway is over."""
    headway_s, brake_mps2, standing_m = REWARD.headway_s, REWARD.brake_mps2, REWARD.standing_gap_m
    safe_mps = Leader(gap_m, ahead_mps).safe_speed_mps(headway_s, brake_mps2, standing_m)
    way_m = safe_mps * headway_s + safe_mps**2 / (2.0 * brake_mps2)
    left_m = gap_m + ahead_mps**2 / (2.0 * brake_mps2) - way_m
    assert left_m >= standing_m - 1e-6


@given(st.floats(0.0, 40.0), st.floats(0.0, 12.0), st.floats(0.1, 10.0))
def test_less_room_never_makes_more_speed_safe(gap_m: float, ahead_mps: float, by: float) -> None:
    here = REWARD.safe_speed_mps(Leader(gap_m, ahead_mps))
    assert here <= REWARD.safe_speed_mps(Leader(gap_m + by, ahead_mps))
    assert here <= REWARD.safe_speed_mps(Leader(gap_m, ahead_mps + by))
    assert here <= REWARD.safe_speed_mps(None) == REWARD.target_speed_mps


def total(speed_mps: float, ahead: Leader | None) -> float:
    still = np.zeros(2, np.float32)
    return sum(
        reward_terms(
            REWARD,
            progress_mps=speed_mps,
            speed_mps=speed_mps,
            place=RoutePlace(0.0, 0.0, 0.0),
            action=still,
            previous_action=still,
            failed=False,
            leader=ahead,
        ).values()
    )


@given(st.floats(0.0, 20.0), st.floats(0.0, 6.0), st.floats(0.2, 3.0))
def test_the_safe_speed_is_worth_most(gap_m: float, ahead_mps: float, by: float) -> None:
    ahead = Leader(gap_m, ahead_mps)
    safe_mps = REWARD.safe_speed_mps(ahead)
    assert total(safe_mps, ahead) > total(safe_mps + by, ahead)
    assume(safe_mps - by > REWARD.standstill_speed_mps)
    assert total(safe_mps, ahead) > total(safe_mps - by, ahead)


def test_to_wait_behind_somebody_costs_nothing_and_to_park_does() -> None:
    assert total(0.0, Leader(3.0, 0.0)) == 0.0
    assert total(0.0, Leader(25.0, 0.0)) == total(0.0, None) == -REWARD.standstill_cost


def stand(ahead: RoadUsers, steps: int) -> str:
    episode = Episode(0, EAST, ego(100.0, 0.0), EpisodeConfig(stuck_steps=20, max_steps=50))
    for step in range(1, steps + 1):
        outcome = episode.step(
            ego(100.0, 0.0, step), np.zeros(2, np.float32), collided=False, users=ahead
        )
        if outcome.ended:
            return outcome.reason
    return ""


def test_who_waits_behind_somebody_is_not_stuck() -> None:
    """It is the vehicle ahead that stands; a time limit ends what never ends."""
    waiting = users((100.0 + FRONT_M + 3.0 + SIZE_M[0] / 2, 0.0, 0.0, 0.0))
    assert stand(waiting, 40) == ""
    assert stand(waiting, 60) == "time_limit"
    assert stand(NOBODY, 40) == "stuck"
