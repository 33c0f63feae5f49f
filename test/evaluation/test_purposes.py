# SPDX-License-Identifier: Apache-2.0
"""Training, tuning, choosing best.pth and evaluation have no road in common."""

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver import cli
from td3_driver.bridge_twin.world_parameters import WorldParameters, car_of, simulation_of
from td3_driver.driving.purpose import Purpose
from td3_driver.evaluation.evaluate import courses
from td3_driver.fleet.sweeps.trial import unseen_worlds
from td3_driver.world.gym_env import DrivingEnv
from td3_driver.world.roads.generation import road_seed

PURPOSES = st.sampled_from(list(Purpose))


@given(PURPOSES, PURPOSES, st.integers(0, 999_999), st.integers(0, 999_999))
def test_no_road_has_two_purposes(one: Purpose, other: Purpose, a: int, b: int) -> None:
    same = (one, a) == (other, b)
    assert (road_seed(one, a) == road_seed(other, b)) == same


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_no_number_leads_into_another_s_roads(number: int) -> None:
    for purpose in Purpose:
        with pytest.raises(ValueError, match=f"{purpose.value}: expected 0 to 999999"):
            road_seed(purpose, number)


def test_the_roads_that_are_driven_are_those_of_the_purpose() -> None:
    def judged(purpose: Purpose, seed: int) -> set[str]:
        given = courses(None, 3, purpose=purpose, seed=seed, length_m=(40.0, 40.0))
        return {course.road_map.opendrive for course in given}

    found = [
        {simulation_of(given, car_of(given)).road_map.opendrive}
        for given in (WorldParameters(seed=0), WorldParameters(seed=1))
    ]
    found.append({world.road_map.opendrive for world in unseen_worlds(())})
    found += [judged(Purpose.SELECTION, 0), judged(Purpose.EVALUATION, 0)]
    found.append(judged(Purpose.EVALUATION, 1))
    for one, other in itertools.combinations(found, 2):
        assert not one & other
    tuned = {world.road_map.name for world in unseen_worlds(())}
    assert tuned == {"generated_1000000", "generated_1000001"}


def test_seeds_beyond_are_refused_where_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--policy", "stopped", "--seed", "1000", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["td3_driver", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "generated road 1000000 for evaluation: expected 0 to 999999" in line
    with pytest.raises(ValueError, match="training: expected 0 to 999999"):
        DrivingEnv(world_seed=1_000_000)
    given = WorldParameters(seed=1_000_000)
    with pytest.raises(ValueError, match="training: expected 0 to 999999"):
        simulation_of(given, car_of(given))
