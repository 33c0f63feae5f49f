# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.driving.demand import NO_DEMAND, Demand
from td3_driver.driving.episode import Episode, EpisodeConfig
from td3_driver.driving.observation import (
    FrameStack,
    Perception,
    privileged_observation,
    vector_observation,
)
from td3_driver.driving.reset import GIVE_UP_FRAMES, Reset
from td3_driver.driving.reward import Action, RewardConfig, reward_terms
from td3_driver.driving.road_users import Leader
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.safety import SafetyConfig, control_of, safe_action
from td3_driver.driving.types import EgoState, Pose, wrap_angle
from td3_driver.driving.view import Mount, ViewConfig, frame_of

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
    frame = frame_of(pixels, ViewConfig())
    code = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}[channels]
    grey = pixels if code is None else cv2.cvtColor(pixels, code)
    reference = cv2.resize(grey, (84, 84), interpolation=cv2.INTER_AREA)
    assert frame.shape == (84, 84)
    assert frame.dtype == np.uint8
    assert np.max(np.abs(frame.astype(int) - reference.astype(int))) <= 2


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_frame_in_colour_has_red_green_and_blue(channels: int) -> None:
    """Whatever the camera sends: BGR(A), or grey, which has the same three times."""
    shape = (120, 160) if channels == 1 else (120, 160, channels)
    pixels = np.full(shape, 40, np.uint8)
    if channels > 1:
        pixels[..., :3] = (10, 20, 30)
    frame = frame_of(pixels, ViewConfig(size_px=60, colour="rgb"))
    assert frame.shape == (3, 60, 60)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    told = [{*plane.flat} for plane in frame]
    assert told == ([{40}] * 3 if channels == 1 else [{30}, {20}, {10}])


FRONT, LEFT = Mount("rgb_front"), Mount("rgb_left", yaw_deg=60.0)


def test_the_pictures_of_several_cameras_are_one_frame_in_the_views_order() -> None:
    red, grey = np.zeros((120, 160, 4), np.uint8), np.full((48, 64), 40, np.uint8)
    red[..., 2] = 200
    view = ViewConfig(cameras=(FRONT, LEFT))
    frame = frame_of(red, view, [grey])
    assert frame.shape == view.frame_shape == (2, 84, 84)
    assert [{*plane.flat} for plane in frame] == [{60}, {40}]  # red's part of brightness
    assert np.array_equal(frame[0], frame_of(red, ViewConfig()))
    view = ViewConfig(size_px=30, colour="rgb", cameras=(FRONT, LEFT))
    frame = frame_of(red, view, [grey])
    assert frame.shape == view.frame_shape == (6, 30, 30)
    assert frame[:, 0, 0].tolist() == [200, 0, 0, 40, 40, 40]
    stack = FrameStack()
    stack.reset(frame)
    assert stack.stacked().shape == (24, 30, 30)


@pytest.mark.parametrize("beside", [0, 2])
def test_a_moment_has_a_picture_of_each_camera(beside: int) -> None:
    picture = np.zeros((120, 160), np.uint8)
    with pytest.raises(ValueError, match=f"a moment: {1 + beside}, but"):
        frame_of(picture, ViewConfig(cameras=(FRONT, LEFT)), [picture] * beside)
    with pytest.raises(ValueError, match="a moment: 2, but"):
        frame_of(picture, ViewConfig(), [picture])


def test_a_view_leaves_out_its_borders() -> None:
    pixels = np.zeros((100, 200), np.uint8)
    pixels[40:90, 20:180] = 255
    assert frame_of(pixels, ViewConfig(0.4, 0.1, 0.1)).min() == 255
    assert frame_of(pixels, ViewConfig(0.3, 0.1, 0.1)).min() == 0
    assert frame_of(pixels, ViewConfig(0.4, 0.1, 0.1, size_px=24, colour="rgb")).min() == 255


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
@pytest.mark.parametrize("demand", [None, NO_DEMAND])
def test_an_episode_is_seen_from_its_first_frame_on_and_from_where_the_car_is(
    end_to_end: bool, demand: Demand | None
) -> None:
    perception = Perception(
        end_to_end=end_to_end, regulations=demand is not None, privileged=False
    )
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
    vector = vector_observation(
        seen.ego, EAST, seen.place, end_to_end=end_to_end, demand=demand
    )
    assert np.array_equal(seen.observation.vector, vector)


def test_end_to_end_the_way_is_the_critic_s_privilege() -> None:
    """Together they are told what the contract's vector tells, and their own motion."""
    state = EgoState(0, Pose(10.0, 0.7, 0.1), 15.0, 0.0, 0.3)
    place, before = EAST.place(state.pose, 10.0), np.array([0.25, -0.5], np.float32)
    given: dict[str, Any] = {"end_to_end": True, "previous_action": before}
    vector = vector_observation(state, EAST, place, **given)
    assert vector.tolist() == pytest.approx([0.5, 0.0, 0.25, -0.5, 0.3])
    told = privileged_observation(state, EAST, place, Leader(20.0, 6.0), **given)
    assert told[:-2].tolist() == vector_observation(state, EAST, place)[1:].tolist()
    assert told[-2:].tolist() == pytest.approx([0.4, 0.2])
    free = privileged_observation(state, EAST, place, None, end_to_end=False)
    assert free.tolist() == pytest.approx([0.0, 0.0, 0.3, 1.0, 0.0])


@pytest.mark.parametrize("end_to_end", [False, True])
def test_what_a_critic_is_told_is_stored_and_not_seen(end_to_end: bool) -> None:
    config = DrivingConfig(end_to_end=end_to_end, privileged_critic=True)
    perception, plain = config.perception, replace(config, privileged_critic=False).perception
    state = EgoState(0, Pose(10.0, 0.5, 0.1), 6.0)
    episode = Episode(0, EAST, state, EpisodeConfig())
    frame, after = np.zeros((84, 84), np.uint8), EgoState(50_000_000, Pose(10.3, 0.5, 0.1), 6.0)
    perception.begin(episode, frame, state)
    plain.begin(episode, frame, state)
    action = np.array([0.1, 0.7], np.float32)
    episode.step(after, action, collided=False)
    seen, other = (each.go_on(episode, frame, after).observation for each in (perception, plain))
    assert np.array_equal(seen.vector, other.vector)
    assert other.privileged.size == 0
    shape = config.spaces.row[1:2]
    assert (seen.vector.shape, seen.stored.shape) == (config.spaces.policy[1:2], shape)
    assert action.tolist() == pytest.approx([seen.stored[i] for i in _places(config, "previous")])
    assert len(config.spaces.meaning()["privileged"]) == seen.privileged.size  # type: ignore[arg-type]


def test_advice_is_the_last_that_a_critic_is_told_and_not_seen() -> None:
    """Whoever is ahead counts in it, and a new episode begins with a new speed controller."""
    config = DrivingConfig(end_to_end=True, privileged_critic=True, advised=True)
    perception, silent = config.perception, replace(config, advised=False).perception
    state = EgoState(0, Pose(10.0, 0.5, 0.1), 6.0)
    frame = np.zeros((84, 84), np.uint8)
    first: list[Action] = []
    for _ in range(2):
        episode = Episode(0, EAST, state, EpisodeConfig())
        seen = perception.begin(episode, frame, state).observation
        other = silent.begin(episode, frame, state).observation
        assert np.array_equal(seen.vector, other.vector)
        assert np.array_equal(seen.privileged[:-2], other.privileged)
        first.append(seen.privileged[-2:])
        perception.go_on(episode, frame, state)
    assert np.array_equal(*first)
    assert first[0][0] > 0.0  # it is left of the middle: to the right
    assert first[0][1] > 0.0
    episode.leader = Leader(4.0, 0.0)
    assert perception.go_on(episode, frame, state).observation.privileged[-1] < 0.0
    assert len(config.spaces.privileged) == seen.privileged.size


def _places(config: DrivingConfig, word: str) -> list[int]:
    names = [*config.spaces.vector, *config.spaces.privileged]
    return [place for place, name in enumerate(names) if name.startswith(word)]


def test_a_blind_view_is_black() -> None:
    assert not frame_of(np.full((100, 200, 4), 255, np.uint8), ViewConfig(blind=True)).any()


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
