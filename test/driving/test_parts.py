# SPDX-License-Identifier: Apache-2.0
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.driving.episode import Episode, EpisodeConfig
from td3_driver.driving.observation import (
    FrameStack,
    Perception,
    ViewConfig,
    grey_frame,
    vector_observation,
)
from td3_driver.driving.reset import GIVE_UP_FRAMES, Reset
from td3_driver.driving.reward import RewardConfig, reward_terms
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.safety import SafetyConfig, control_of, safe_action
from td3_driver.driving.types import EgoState, Pose, wrap_angle

EAST = Route(np.array([(0.0, 0.0), (100.0, 0.0)]))


def ego(x_m: float, y_m: float, yaw_rad: float, speed_mps: float = 0.0) -> EgoState:
    return EgoState(0, Pose(x_m, y_m, yaw_rad), speed_mps)


def test_vector_has_the_contract_s_numbers() -> None:
    state = ego(10.0, 0.7, 0.1, 15.0)
    vector = vector_observation(state, EAST, EAST.place(state.pose, 10.0))
    assert vector.shape == (23,)
    assert vector.dtype == np.float32
    assert vector[0] == pytest.approx(15.0 / 30.0)
    assert vector[1] == pytest.approx(0.7 / 3.5)
    assert vector[2] == pytest.approx(0.1 / math.pi)
    ahead = np.array([2.5, -0.7])
    turn = np.array([[math.cos(0.1), math.sin(0.1)], [-math.sin(0.1), math.cos(0.1)]])
    assert vector[3:5] == pytest.approx(turn @ ahead / 50.0, abs=1e-6)


def test_way_points_never_vanish() -> None:
    """The origin system's were all zero after half a metre."""
    for x_m in np.linspace(0.0, 100.0, 50):
        state = ego(x_m, 0.0, 0.0)
        points = vector_observation(state, EAST, EAST.place(state.pose, x_m))[3:]
        assert points[0::2] * 50.0 == pytest.approx(2.5 * np.arange(1, 11), abs=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_frame_is_what_opencv_makes_of_it(channels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (120, 160) if channels == 1 else (120, 160, channels)
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    frame = grey_frame(pixels, ViewConfig())
    code = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}[channels]
    grey = pixels if code is None else cv2.cvtColor(pixels, code)
    reference = cv2.resize(grey, (84, 84), interpolation=cv2.INTER_AREA)
    assert frame.shape == (84, 84)
    assert frame.dtype == np.uint8
    assert np.max(np.abs(frame.astype(int) - reference.astype(int))) <= 2


def test_a_view_leaves_out_its_borders() -> None:
    pixels = np.zeros((100, 200), np.uint8)
    pixels[40:90, 20:180] = 255
    assert grey_frame(pixels, ViewConfig(0.4, 0.1, 0.1)).min() == 255
    assert grey_frame(pixels, ViewConfig(0.3, 0.1, 0.1)).min() == 0


@pytest.mark.parametrize("cuts", [(0.6, 0.4, 0.0), (0.0, 0.0, 0.5)])
def test_a_view_that_leaves_nothing_is_refused(cuts: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="leave nothing"):
        ViewConfig(*cuts)


def test_frame_stack_begins_with_the_first_frame_not_with_black() -> None:
    stack = FrameStack()
    frames = [np.full((84, 84), i, np.uint8) for i in range(6)]
    stack.reset(frames[3])
    assert [int(frame[0, 0]) for frame in stack.stacked()] == [3, 3, 3, 3]
    stack.push(frames[4])
    stack.push(frames[5])
    assert [int(frame[0, 0]) for frame in stack.stacked()] == [3, 3, 4, 5]


@pytest.mark.parametrize("end_to_end", [False, True])
def test_an_episode_is_seen_from_its_first_frame_on_and_from_where_the_car_is(
    end_to_end: bool,
) -> None:
    perception = Perception(end_to_end=end_to_end)
    frames = [np.full((84, 84), i, np.uint8) for i in range(4)]
    states = [EgoState(i * 50_000_000, Pose(10.0 + i, 0.5, 0.1), 6.0) for i in range(4)]
    for _ in range(2):  # of the first round nothing is left in the second
        episode = Episode(0, EAST, states[0], EpisodeConfig())
        seen = perception.begin(episode, frames[0], states[0])
        assert seen.observation.image[:, 0, 0].tolist() == [0, 0, 0, 0]
        for ego, frame in zip(states[1:], frames[1:], strict=True):
            episode.step(ego, np.zeros(2, np.float32), collided=False)
            seen = perception.go_on(episode, frame, ego)
        assert seen.observation.image[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert (seen.ego, seen.route) == (states[3], EAST)
    assert seen.place == EAST.place(states[3].pose, 13.0)
    vector = vector_observation(seen.ego, EAST, seen.place, end_to_end=end_to_end)
    assert np.array_equal(seen.observation.vector, vector)


def terms(progress_mps: float, lateral_m: float = 0.0, **changes: object) -> dict[str, float]:
    given: dict[str, object] = {
        "progress_mps": progress_mps,
        "speed_mps": progress_mps,
        "place": RoutePlace(0.0, lateral_m, 0.0),
        "action": np.zeros(2, np.float32),
        "previous_action": np.zeros(2, np.float32),
        "failed": False,
    }
    return reward_terms(RewardConfig(), **(given | changes))  # type: ignore[arg-type]


def test_the_target_speed_earns_most() -> None:
    totals = {speed: sum(terms(speed).values()) for speed in np.arange(-5.0, 25.0, 0.05)}
    best = max(totals, key=lambda speed: totals[speed])
    assert best == pytest.approx(8.33, abs=0.06)
    assert totals[best] == pytest.approx(1.0, abs=0.01)
    assert sum(terms(0.0).values()) == pytest.approx(-0.2)


@given(
    progress_mps=st.floats(-1e3, 1e3),
    lateral_m=st.floats(-1e3, 1e3),
    steer=st.floats(-1.0, 1.0),
    failed=st.booleans(),
)
def test_every_term_is_bounded(
    progress_mps: float, lateral_m: float, steer: float, failed: bool
) -> None:
    action = np.array([steer, -steer], np.float32)
    for name, value in terms(progress_mps, lateral_m, action=action, failed=failed).items():
        assert -10.0 <= value <= 1.0, name


def test_steer_plus_one_is_right_and_pedals_exclude_each_other() -> None:
    config = SafetyConfig(max_steer=0.5)
    assert control_of(np.array([1.0, 0.4], np.float32), config).steer == 0.5
    for drive in (-1.0, -0.2, 0.0, 0.7):
        control = control_of(np.array([0.0, drive], np.float32), config)
        assert control.throttle == pytest.approx(max(drive, 0.0))
        assert control.brake == pytest.approx(max(-drive, 0.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_no_number_brakes(bad: float) -> None:
    assert np.array_equal(safe_action(np.array([bad, 1.0], np.float32)), [0.0, -1.0])


@given(angle=st.floats(-1e3, 1e3))
def test_wrapped_angles_are_the_same_direction(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-6)


def test_reset_waits_for_what_odometry_shows() -> None:
    reset = Reset(Pose(50.0, 0.0, 0.0))
    moving, stopped = ego(0.0, 0.0, 0.0, 5.0), ego(2.0, 0.0, 0.0, 0.0)
    assert reset.step(moving).halt
    assert reset.step(moving) == reset.step(moving)  # nothing more, until it stands
    assert reset.step(stopped).place == Pose(50.0, 0.0, 0.0)
    assert reset.step(stopped).place is None
    requests = [reset.step(ego(50.0, 0.0, 0.0)) for _ in range(10)]
    assert [request.done for request in requests].index(True) == 5


def test_a_car_that_looks_elsewhere_is_not_at_its_place() -> None:
    """So where a start lies on a crossing, where the car has stopped on another road."""
    reset = Reset(Pose(50.0, 0.0, 0.0))
    for _ in range(3):
        reset.step(ego(50.0, 0.0, 1.5))
    requests = [reset.step(ego(50.0, 0.0, 1.5)) for _ in range(40)]
    assert not any(request.done for request in requests)
    assert sum(request.place is not None for request in requests) == 2


def test_reset_gives_up_on_a_car_that_does_not_move() -> None:
    reset = Reset(Pose(50.0, 0.0, 0.0))
    requests = [reset.step(ego(0.0, 0.0, 0.0)) for _ in range(GIVE_UP_FRAMES + 1)]
    assert requests[-1].failed
    assert sum(request.place is not None for request in requests) > 10


def test_end_to_end_the_vector_tells_only_speed_and_the_turn() -> None:
    route = Route(np.stack([np.arange(0.0, 60.0), np.zeros(60)], axis=1))
    ego = EgoState(0, Pose(10.0, 1.0, 0.3), speed_mps=6.0)
    place = route.place(ego.pose, 10.0)
    vector = vector_observation(ego, route, place, end_to_end=True)
    assert vector.shape == (23,)
    assert vector[0] == np.float32(0.2)
    assert not vector[1:].any()
