# SPDX-License-Identifier: Apache-2.0
"""What infractions cost: against published results, and numbers worked out by hand."""

import pickle
from dataclasses import replace

import pytest

from td3_driver.arguments import RULES as OFFERED
from td3_driver.driving.judging.infractions import Infraction, Kind
from td3_driver.driving.judging.rules import (
    LEADERBOARD_1,
    LEADERBOARD_2,
    NOCRASH,
    RULES,
    STRICT,
    Penalty,
)
from td3_driver.measures.estimates import garwood, infraction_rates
from td3_driver.measures.metrics import EpisodeMetrics, measure

from .test_metrics import trace


def penalty(penalised: Penalty, **shares: float | list[float]) -> float:
    """By names of kinds: the share of one infraction, or of several."""
    return penalised(
        Infraction(Kind[kind], 0.0, 0.0, share)
        for kind, given in shares.items()
        for share in (given if isinstance(given, list) else [given])
    )


def test_published_results_of_version_2_0_are_repeated() -> None:
    """Results of the leaderboard's own tool, from a public data set of PDM-Lite's drives."""
    older = LEADERBOARD_2.older
    assert older is not None
    # A collision with a vehicle, and 11.13 %, or 15.02 %, of the traffic's speed.
    assert penalty(older, VEHICLE=1.0, SLOW=1.0 - 0.1113) == pytest.approx(0.440034)
    assert penalty(older, VEHICLE=1.0, SLOW=1.0 - 0.1502) == pytest.approx(0.447036)
    # 89.22 % of the traffic's speed, then 79.46 %.
    slow = penalty(older, SLOW=[1.0 - 0.8922, 1.0 - 0.7946])
    assert slow == pytest.approx(0.908033, abs=1e-6)


def test_version_1_multiplies() -> None:
    assert penalty(LEADERBOARD_1.penalty) == 1.0
    every = penalty(
        LEADERBOARD_1.penalty, PEDESTRIAN=1.0, VEHICLE=1.0, LAYOUT=1.0, RED_LIGHT=1.0,
        STOP_SIGN=1.0, OUTSIDE=0.1,
    )  # fmt: skip
    assert every == pytest.approx(0.5 * 0.6 * 0.65 * 0.7 * 0.8 * 0.9)
    assert penalty(LEADERBOARD_1.penalty, RED_LIGHT=[1.0, 1.0]) == pytest.approx(0.49)
    ends = penalty(LEADERBOARD_1.penalty, DEVIATION=1.0, BLOCKED=1.0, TIME_OUT=1.0)
    assert ends == 1.0  # they cost the rest of the route


def test_version_2_1_adds() -> None:
    assert penalty(LEADERBOARD_2.penalty) == 1.0
    costs = {
        "PEDESTRIAN": 1.0, "VEHICLE": 0.7, "LAYOUT": 0.6, "RED_LIGHT": 0.4, "STOP_SIGN": 0.25,
        "SCENARIO": 0.4, "EMERGENCY": 0.4,
    }  # fmt: skip
    for kind, cost in costs.items():
        assert penalty(LEADERBOARD_2.penalty, **{kind: 1.0}) == pytest.approx(1.0 / (1.0 + cost))
    two = penalty(LEADERBOARD_2.penalty, VEHICLE=1.0, RED_LIGHT=1.0, OUTSIDE=0.1)
    assert two == pytest.approx(0.9 / 2.1)
    assert penalty(LEADERBOARD_2.penalty, SLOW=0.5) == pytest.approx(1.0 / 1.2)


def test_nocrash_and_strict() -> None:
    assert penalty(NOCRASH.penalty, VEHICLE=1.0, RED_LIGHT=1.0, OUTSIDE=0.5) == 1.0
    every = penalty(STRICT.penalty, LAYOUT=1.0, RED_LIGHT=1.0, STOP_SIGN=1.0, OUTSIDE=0.5)
    assert every == pytest.approx(0.65 * 0.7 * 0.8)  # leaving the lanes is no matter of its own


def test_rule_sets_are_offered_and_can_be_sent_to_another_process() -> None:
    assert set(OFFERED) == set(RULES)
    assert next(iter(OFFERED)) == STRICT.name
    for rules in RULES.values():
        assert pickle.loads(pickle.dumps(rules)).to_mapping() == rules.to_mapping()
        assert set(rules.to_mapping()) == {"name", "version", "ended_by", "costs"}


def test_a_drive_s_score_is_by_its_rules() -> None:
    found = (
        Infraction(Kind.RED_LIGHT, 1.0, 2.0),
        Infraction(Kind.RED_LIGHT, 3.0, 4.0),
        Infraction(Kind.OUTSIDE, 5.0, 6.0, 0.2),
    )
    dark = {Kind.STOP_SIGN: "the map has no stop signs"}
    driven = trace(
        rules=LEADERBOARD_2, infractions=found, not_measured=dark, completion=0.5, reason="x"
    )
    measured = measure(driven)
    assert measured.infraction_penalty == pytest.approx(0.8 / 1.8)
    assert measured.driving_score == pytest.approx(0.4 / 1.8)
    assert measured.driving_score_2_0 == pytest.approx(0.5 * 0.49 * 0.8)
    assert measured.outside_lanes_share == 0.2
    assert measured.infractions["red_light"] == 2
    assert measured.infractions["stop_infraction"] is None
    assert measured.infractions["collisions_vehicle"] == 0
    by_version_1 = measure(replace(driven, rules=LEADERBOARD_1))
    assert by_version_1.driving_score == pytest.approx(0.5 * 0.49 * 0.8)
    assert by_version_1.driving_score_2_0 is None


def drive(red_lights: int | None, distance_m: float) -> EpisodeMetrics:
    return replace(
        measure(trace()), distance_m=distance_m, infractions={"red_light": red_lights}
    )


def test_rates_are_per_km_of_the_drives_in_which_they_could_be_found() -> None:
    found = infraction_rates([drive(2, 500.0), drive(0, 1500.0), drive(None, 7000.0)])["red_light"]
    assert found.mean == pytest.approx(1.0)
    low, high = garwood(2)
    assert found.interval == pytest.approx((low / 2.0, high / 2.0))
    # Rothman's table of exact limits for 2 events: 0.2422 and 7.2247.
    assert found.interval == pytest.approx((0.1211, 3.6123), abs=1e-4)


def test_a_rate_over_nothing_is_none() -> None:
    for drives in ([drive(None, 500.0)], [drive(0, 0.0)]):
        found = infraction_rates(drives)["red_light"]
        assert found.mean is None
        assert found.interval is None
