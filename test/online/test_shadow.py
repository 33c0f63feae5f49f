# SPDX-License-Identifier: Apache-2.0
"""A policy that is asked beside a drive, frame by frame."""

import numpy as np
import pytest

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import EgoState, Pose
from td3_driver.online.shadow import REMEMBERED, Shadow

FRAME = np.zeros((84, 84), np.uint8)
EAST = Route(np.array([(0.0, 0.0), (100.0, 0.0)]))
STAMP_NS, STEP_NS = 450_000_000, 50_000_000


class Straight:
    def begin_episode(self) -> None:
        pass

    def act(self, situation: Situation) -> Action:
        return np.array([0.0, 0.5], np.float32)


class Looking(Straight):
    """Its actions tell the pictures and the place that it was shown."""

    def act(self, situation: Situation) -> Action:
        image = situation.observation.image[:, 0, 0].astype(np.float32)
        steer = float(image @ np.logspace(-3, -6, len(image)))
        return np.array([steer, situation.place.s_m / 100.0], np.float32)


def ego(stamp_ns: int, x_m: float = 1.0) -> EgoState:
    return EgoState(stamp_ns, Pose(x_m, 0.0, 0.0), 6.0)


def stamps(told: list[tuple[int, Action]]) -> list[int]:
    return [stamp_ns for stamp_ns, _ in told]


def test_a_frame_is_answered_once_whichever_comes_first_it_or_its_route() -> None:
    frame_first, route_first = (Shadow(Straight(), DrivingConfig()) for _ in range(2))
    for shadow in (frame_first, route_first):
        assert shadow.see(FRAME, ego(STAMP_NS - STEP_NS), routes_come=True) is None
    assert frame_first.see(FRAME, ego(STAMP_NS)) is None
    assert stamps(frame_first.follow(STAMP_NS, EAST)) == [STAMP_NS]
    assert route_first.follow(STAMP_NS, EAST) == []
    assert route_first.see(FRAME, ego(STAMP_NS)) is not None
    for shadow in (frame_first, route_first):
        assert shadow.follow(STAMP_NS, EAST) == []  # latched: told of again
        assert (shadow.episodes, shadow.outside_episodes) == (1, 1)


def test_in_a_second_round_too() -> None:
    shadow = Shadow(Straight(), DrivingConfig())
    for _ in range(2):
        shadow.see(FRAME, ego(STAMP_NS - STEP_NS), routes_come=True)
        assert shadow.see(FRAME, ego(STAMP_NS)) is None
        assert stamps(shadow.follow(STAMP_NS, EAST)) == [STAMP_NS]
        shadow.see(FRAME, ego(STAMP_NS + STEP_NS))
    assert shadow.episodes == 2
    # Another recording has frames of the same stamps, and no route yet.
    shadow.see(FRAME, ego(STAMP_NS - STEP_NS), routes_come=True)
    assert shadow.see(FRAME, ego(STAMP_NS)) is None
    other = Route(np.array([(0.0, 0.5), (100.0, 0.5)]))
    assert stamps(shadow.follow(STAMP_NS, other)) == [STAMP_NS]


@pytest.mark.parametrize("late", [0, 1, 2, REMEMBERED - 1])
def test_a_late_route_gives_what_it_would_have_given_in_time(late: int) -> None:
    """Frames, moving on the way, told apart by their pictures: the stack is that of driving."""
    wanted = {}
    for lateness in (0, late):
        policy = Looking()
        shadow = Shadow(policy, DrivingConfig())
        found: dict[int, tuple[float, ...]] = {}
        for number in range(late + 10):
            now = ego(STAMP_NS + number * STEP_NS, 1.0 + 0.3 * number)
            action = shadow.see(np.full_like(FRAME, number), now, routes_come=True)
            if action is not None:
                found[now.stamp_ns] = tuple(action)
            if number == 3 + lateness:
                told = shadow.follow(STAMP_NS + 3 * STEP_NS, EAST)
                found |= {stamp_ns: tuple(action) for stamp_ns, action in told}
        wanted = wanted or found
        assert found == wanted
        assert shadow.outside_episodes == 3
    assert sorted(wanted) == [STAMP_NS + n * STEP_NS for n in range(3, late + 10)]
    assert len(set(wanted.values())) == len(wanted)


def test_a_route_whose_first_frame_is_missing_begins_with_the_next() -> None:
    before, after = STAMP_NS - STEP_NS, STAMP_NS + STEP_NS
    for late in (False, True):
        shadow = Shadow(Straight(), DrivingConfig())
        for stamp_ns in (before - STEP_NS, before):
            shadow.see(FRAME, ego(stamp_ns), routes_come=True)
        if not late:
            shadow.follow(STAMP_NS, EAST)
        action = shadow.see(FRAME, ego(after))
        assert (action is None) == late
        assert stamps(shadow.follow(STAMP_NS, EAST)) == ([after] if late else [])
        shadow.see(FRAME, ego(after + 3 * STEP_NS))
        assert shadow.dropped_frames == 1 + 2
    lone = Shadow(Straight(), DrivingConfig())  # started in the middle of an episode
    lone.follow(STAMP_NS, EAST)
    assert lone.see(FRAME, ego(STAMP_NS + 2 * GAP_NS)) is None


@pytest.mark.parametrize("late", [False, True])
def test_a_collision_ends_an_episode(late: bool) -> None:
    shadow = Shadow(Straight(), DrivingConfig())
    shadow.follow(STAMP_NS, EAST)
    shadow.collided(STAMP_NS)  # of the episode before
    assert shadow.see(FRAME, ego(STAMP_NS)) is not None
    assert shadow.see(FRAME, ego(STAMP_NS + STEP_NS)) is not None
    collision_ns = STAMP_NS + 2 * STEP_NS
    if not late:
        shadow.collided(collision_ns)
    assert (shadow.see(FRAME, ego(collision_ns)) is None) == (not late)
    if late:
        shadow.collided(collision_ns)
    assert shadow.see(FRAME, ego(collision_ns + STEP_NS)) is None


def test_no_episode_begins_beside_the_route() -> None:
    shadow = Shadow(Straight(), DrivingConfig())
    shadow.follow(STAMP_NS, Route(np.array([(0.0, 9.0), (100.0, 9.0)])))
    assert shadow.see(FRAME, ego(STAMP_NS)) is None
    assert shadow.episodes == 0
