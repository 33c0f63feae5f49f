# SPDX-License-Identifier: Apache-2.0
"""What stored numbers mean: every driving setting belongs to it, or is known not to."""

import numpy as np
import pytest

from td3_driver.configuration import ConfigurationError, configuration_from
from td3_driver.driving.demand import NO_DEMAND, Demand
from td3_driver.driving.observation import FrameStack, vector_layout, vector_observation
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.route import Route
from td3_driver.driving.safety import action_of
from td3_driver.driving.types import Control, EgoState, Pose
from td3_driver.driving.view import frame_of
from td3_driver.online.meaning import of_experience, of_policy
from td3_driver.replay.meaning import differences, flat

from ..driving_settings import CIRCUMSTANCES, EPISODE, LEAVES, with_other


@pytest.mark.parametrize("name", LEAVES)
def test_a_setting_changes_the_meaning_unless_it_is_a_circumstance(name: str) -> None:
    own, other = DrivingConfig(), with_other(name)
    assert own != other
    told = differences(of_experience(other), of_experience(own))
    if name in CIRCUMSTANCES:
        assert told == []
    else:
        assert any(line.startswith(f"{name} is ") for line in told), told
    of_networks = differences(of_policy(other), of_policy(own))
    assert bool(of_networks) == (not name.startswith(EPISODE))


def test_the_layout_names_what_the_vector_holds() -> None:
    route = Route(np.array([(0.0, 0.0), (200.0, 0.0)]))
    ego = EgoState(0, Pose(10.0, 1.75, 0.5), 6.0)
    vector = vector_observation(ego, route, route.place(ego.pose, 10.0))
    layout = vector_layout(end_to_end=False)
    assert len(layout) == len(vector)
    assert layout[0] == "speed in m/s / 30"
    assert vector[0] == pytest.approx(6.0 / 30.0)
    assert layout[1] == "lateral offset in m, left positive, / 3.5"
    assert vector[1] == pytest.approx(0.5)
    assert layout[2] == "heading error in rad / pi"
    assert vector[2] == pytest.approx(0.5 / np.pi)
    assert layout[3:5] == [
        "route point 2.5 m ahead, forward in m / 50", "route point 2.5 m ahead, left in m / 50",
    ]  # fmt: skip
    assert layout[-1] == "route point 25 m ahead, left in m / 50"
    end_to_end = vector_observation(ego, route, route.place(ego.pose, 10.0), end_to_end=True)
    assert len(vector_layout(end_to_end=True)) == len(end_to_end) == 5


@pytest.mark.parametrize("end_to_end", [False, True])
def test_the_layout_names_what_regulations_add(end_to_end: bool) -> None:
    route = Route(np.array([(0.0, 0.0), (200.0, 0.0)]))
    ego = EgoState(0, Pose(10.0, 0.0, 0.0), 6.0)
    given: dict[str, bool] = {"end_to_end": end_to_end}
    place = route.place(ego.pose, 10.0)
    without = vector_observation(ego, route, place, **given)
    vector = vector_observation(ego, route, place, demand=Demand(20.0, 15.0), **given)
    layout = vector_layout(regulations=True, **given)
    assert layout[:-3] == vector_layout(**given)
    assert vector[:-3].tolist() == without.tolist()
    assert dict(zip(layout[-3:], vector[-3:].tolist(), strict=True)) == {
        "distance to the line at which to stop in m / 50, at most 1": pytest.approx(0.4),
        "must stop: 1, else 0": 1.0,
        "speed limit in m/s / 30, at most 1": 0.5,
    }
    nothing = vector_observation(ego, route, place, demand=NO_DEMAND, **given)
    assert nothing[-3:].tolist() == [1.0, 0.0, 1.0]
    assert nothing.dtype == np.float32


@pytest.mark.parametrize("end_to_end", [False, True])
@pytest.mark.parametrize("demand", [None, NO_DEMAND])
def test_the_spaces_are_those_of_what_is_seen_and_done(
    end_to_end: bool, demand: Demand | None
) -> None:
    config = DrivingConfig(end_to_end=end_to_end, regulations=demand is not None)
    route = Route(np.array([(0.0, 0.0), (200.0, 0.0)]))
    ego = EgoState(0, Pose(10.0, 0.0, 0.0), 6.0)
    vector = vector_observation(
        ego, route, route.place(ego.pose, 10.0), end_to_end=end_to_end, demand=demand
    )
    stack = FrameStack()
    stack.reset(frame_of(np.zeros((600, 800, 4), np.uint8), config.view))
    action = action_of(Control(0.5, 0.1, 0.0), config.safety)
    assert config.spaces.row == (stack.stacked().shape, len(vector), len(action))
    # Files of earlier versions carry these very words.
    meaning = of_experience(config)
    assert meaning["image"] == "4 grey frames of 84x84, oldest first"
    assert meaning["action"] == [
        "steer: 1 is max_steer of full lock, to the right", "throttle (> 0) or brake (< 0)",
    ]  # fmt: skip
    assert [*config.spaces.action] == ["steer", "throttle_brake"]


def test_an_agent_for_other_images_is_refused() -> None:
    for name, value in (("image_size", 96), ("image_channels", 3)):
        with pytest.raises(ConfigurationError) as refused:
            configuration_from({"agent": {name: value}}, "config mine.yaml")
        reason = str(refused.value)
        assert reason.startswith("config mine.yaml: agent: ")
        assert f"{name} {value}" in reason
        assert "image_size 84" in reason


def test_a_vector_scale_of_another_length_is_refused() -> None:
    """As when a default run's settings are given `regulations`: its message names both ends."""
    scale = [1.0] * 23
    assert configuration_from({"agent": {"vector_scale": scale}}, "config mine.yaml")
    given = {"agent": {"vector_scale": scale}, "driving": {"regulations": True}}
    with pytest.raises(ConfigurationError) as refused:
        configuration_from(given, "config mine.yaml")
    assert str(refused.value) == (
        "config mine.yaml: agent: vector_scale has 23 factors, but with driving: end_to_end"
        " false, regulations true, privileged_critic false, advised false the vector has 26"
        " elements; give one factor each, or none"
    )


def test_a_file_from_before_there_were_regulations_fits_where_none_count() -> None:
    default, urban = of_experience(DrivingConfig()), of_experience(DrivingConfig(regulations=True))
    earlier = {name: told for name, told in default.items() if name != "driving.regulations"}
    assert earlier != default
    assert differences(earlier, default) == []
    assert differences(earlier, urban) == [
        "vector has 23 elements (this run: 26)",
        "driving.regulations is not told (this run: True)",
    ]


def test_differences_name_the_first_element_that_differs() -> None:
    told = differences(
        of_experience(DrivingConfig(end_to_end=True)), of_experience(DrivingConfig())
    )
    assert told == [
        "vector has 5 elements (this run: 23)",
        "driving.end_to_end is True (this run: False)",
    ]
    assert differences({"a": ["x", "y"]}, {"a": ["x", "z"]}) == ["a[1] is y (this run: z)"]
    assert differences({"a": 1}, {"b": 2}) == [
        "b is not told (this run: 2)", "a is 1 (this run has no such setting)",
    ]  # fmt: skip
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
