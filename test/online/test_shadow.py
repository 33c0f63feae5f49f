# SPDX-License-Identifier: Apache-2.0
"""A policy that is asked beside a drive, frame by frame."""

import numpy as np

from td3_driver.driving.driver import DrivingConfig, Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.route import Route
from td3_driver.driving.types import EgoState, Pose
from td3_driver.online.shadow import Shadow

FRAME = np.zeros((84, 84), np.uint8)
EAST = Route(np.array([(0.0, 0.0), (100.0, 0.0)]))
STAMP_NS = 450_000_000


class Straight:
    def begin_episode(self) -> None:
        pass

    def act(self, situation: Situation) -> Action:
        return np.array([0.0, 0.5], np.float32)


def ego(stamp_ns: int) -> EgoState:
    return EgoState(stamp_ns, Pose(1.0, 0.0, 0.0), 0.0)


def test_a_frame_is_answered_once_whichever_comes_first_it_or_its_route() -> None:
    frame_first, route_first = (Shadow(Straight(), DrivingConfig()) for _ in range(2))
    for shadow in (frame_first, route_first):
        shadow.routes_come = True
        shadow.see(FRAME, ego(STAMP_NS - 50_000_000))
    answers = [frame_first.see(FRAME, ego(STAMP_NS)), frame_first.follow(STAMP_NS, EAST)]
    assert [answer is None for answer in answers] == [True, False]
    answers = [route_first.follow(STAMP_NS, EAST), route_first.see(FRAME, ego(STAMP_NS))]
    assert [answer is None for answer in answers] == [True, False]


def test_in_a_second_round_too() -> None:
    shadow = Shadow(Straight(), DrivingConfig())
    shadow.routes_come = True
    for _ in range(2):
        shadow.see(FRAME, ego(STAMP_NS - 50_000_000))
        answers = [shadow.see(FRAME, ego(STAMP_NS)), shadow.follow(STAMP_NS, EAST)]
        assert sum(answer is not None for answer in answers) == 1
        shadow.see(FRAME, ego(STAMP_NS + 50_000_000))
    assert shadow.episodes == 2
    other = Route(np.array([(0.0, 0.5), (100.0, 0.5)]))
    shadow.see(FRAME, ego(STAMP_NS))
    assert shadow.follow(STAMP_NS, other) is not None
