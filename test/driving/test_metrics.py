# SPDX-License-Identifier: Apache-2.0
"""Measures of drives against numbers worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.driving.judging.infractions import Infraction, Kind
from td3_driver.driving.judging.rules import CORL_2017, STRICT
from td3_driver.measures.estimates import garwood, summarise, wilson
from td3_driver.measures.metrics import EpisodeMetrics, Trace, measure, quality, value_bias


def trace(**changes: object) -> Trace:
    """Four steps of 0.05 s on a route of 100 m."""
    usual = Trace(
        step_s=0.05,
        route_length_m=100.0,
        speed_limit_mps=8.0,
        reason="route_end",
        completion=1.0,
        rules=STRICT,
        infractions=(),
        not_measured={},
        route_m=np.array([[0.0, 0.0], [100.0, 0.0]]),
        poses=np.zeros((5, 3)),
        s_m=np.array([0.0, 25.0, 50.0, 75.0, 100.0]),
        lateral_m=np.array([9.0, 0.3, -0.4, 0.0, 0.0]),
        speed_mps=np.array([0.0, 2.0, 4.0, 6.0, 10.0]),
        actions=np.array([[0.0, 1.0], [0.1, 1.0], [0.0, 1.0], [-0.2, 1.0]]),
        rewards=np.array([1.0, 2.0, 3.0, 4.0]),
        ttc_s=np.full(5, math.inf),
        terminated=True,
    )
    return dataclasses.replace(usual, **changes)


def test_the_shortest_time_to_collision_and_none_where_nobody_was_ahead() -> None:
    assert measure(trace()).min_ttc_s is None
    closing = np.array([math.inf, 4.0, 2.5, 3.0, math.inf])
    assert measure(trace(ttc_s=closing)).min_ttc_s == 2.5


def test_in_corl_2017_a_drive_succeeds_in_spite_of_collisions() -> None:
    hit = (Infraction(Kind.VEHICLE, 50.0, 0.0),)
    assert not measure(trace(infractions=hit)).success
    found = measure(trace(rules=CORL_2017, infractions=hit))
    assert found.success
    assert found.collisions == 1
    assert not measure(trace(rules=CORL_2017, reason="route_timeout")).success


def test_an_episode_s_measures() -> None:
    found = measure(trace())
    assert found.success
    assert found.steps == 4
    assert found.duration_s == pytest.approx(0.2)
    assert found.distance_m == 100.0
    # The first state is the start, not something that was driven: 9 m does not count.
    assert found.lateral_rmse_m == pytest.approx(math.sqrt((0.09 + 0.16) / 4))
    assert found.lateral_max_m == 0.4
    assert found.mean_speed_mps == pytest.approx(5.5)
    assert found.max_speed_mps == 10.0
    # Accelerations 40, 40, 40, 80 m/s2: jerks 0, 0, 800 m/s3.
    assert found.jerk_rms_mps3 == pytest.approx(800.0 / math.sqrt(3))
    assert found.mean_abs_steer_change == pytest.approx((0.1 + 0.1 + 0.2) / 3)
    assert found.steer_rate_rms == pytest.approx(math.sqrt((4.0 + 4.0 + 16.0) / 3))
    rmse = 1 / (1 + 0.0625 / 0.25)
    steer = 1 / (1 + (0.4 / 3 / 0.05) ** 2)
    overspeed = 1 / (1 + 4.0 / 4)  # 2 m/s too fast in one step of four: rms 1 m/s
    assert found.score == pytest.approx(rmse * steer * overspeed * 5.5 / 8.0)
    assert not found.never_started


@pytest.mark.parametrize(
    ("struck", "factor"),
    [
        ((Kind.PEDESTRIAN,), 0.50),
        ((Kind.VEHICLE,), 0.60),
        ((Kind.LAYOUT,), 0.65),
        ((Kind.VEHICLE, Kind.LAYOUT), 0.39),
    ],
)
def test_a_collision_costs_the_leaderboard_s_factor(
    struck: tuple[Kind, ...], factor: float
) -> None:
    hits = tuple(Infraction(kind, 0.0, 0.0) for kind in struck)
    found = measure(trace(reason="collision", completion=0.5, infractions=hits))
    assert found.driving_score == pytest.approx(0.5 * factor)
    assert found.collisions == len(struck)
    assert not found.success


def test_a_car_that_stands_never_started() -> None:
    still = trace(reason="stuck", completion=0.01, speed_mps=np.zeros(5), actions=np.zeros((4, 2)))
    found = measure(still)
    assert found.never_started
    assert found.score == 0.0
    assert not measure(trace(reason="stuck", completion=0.03)).never_started


def episode(**changes: object) -> EpisodeMetrics:
    return dataclasses.replace(measure(trace()), **changes)


def test_means_over_time_weight_by_steps_and_rates_by_distance() -> None:
    short = episode(
        steps=10, mean_speed_mps=2.0, lateral_rmse_m=1.0, collisions=1, distance_m=50.0,
        completion=0.5, success=False,
    )  # fmt: skip
    long = episode(
        steps=90, mean_speed_mps=8.0, lateral_rmse_m=0.0, collisions=0, distance_m=450.0,
        completion=1.0, success=True,
    )  # fmt: skip
    found = {name: estimate.mean for name, estimate in summarise([short, long]).items()}
    assert found["mean_speed_mps"] == pytest.approx(7.4)
    assert found["lateral_rmse_m"] == pytest.approx(math.sqrt(0.1))
    assert found["collisions_per_km"] == pytest.approx(2.0)
    assert found["route_completion"] == pytest.approx(0.75)
    assert found["success_rate"] == pytest.approx(0.5)


def test_intervals_repeat_and_hold_the_mean() -> None:
    rng = np.random.default_rng(4)
    drives = [episode(completion=float(value)) for value in rng.uniform(0.0, 1.0, 40)]
    found = summarise(drives, seed=1)["route_completion"]
    assert found == summarise(drives, seed=1)["route_completion"]
    assert found.interval is not None
    low, high = found.interval
    # The normal approximation: 1.96 standard errors of a uniform variable's mean.
    half = 1.96 * float(np.std([drive.completion for drive in drives])) / math.sqrt(40)
    assert low == pytest.approx(found.mean - half, abs=0.02)
    assert high == pytest.approx(found.mean + half, abs=0.02)


def test_one_episode_has_no_interval_but_wilson_s() -> None:
    found = summarise([episode()])
    assert found["route_completion"].interval is None
    assert found["success_rate"].interval == pytest.approx((0.2065, 1.0), abs=1e-4)
    with pytest.raises(ValueError, match="no episode"):
        summarise([])


def test_wilson_s_interval() -> None:
    """Values of statsmodels' proportion_confint(8, 10, method="wilson") and (0, 5)."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 5) == pytest.approx((0.0, 0.4344825), abs=1e-6)


@given(
    st.floats(0.0, 10.0), st.floats(0.0, 2.0), st.floats(0.0, 20.0), st.floats(-1.0, 3.0)
)  # fmt: skip
def test_quality_is_bounded_and_falls(
    rmse_m: float, steer_change: float, overspeed_mps: float, pace: float
) -> None:
    def of(**changes: float) -> float:
        usual = {
            "rmse_m": rmse_m,
            "steer_change": steer_change,
            "overspeed_mps": overspeed_mps,
            "pace": pace,
        }
        return quality(**{**usual, **changes})

    assert 0.0 <= of() <= 1.0
    assert of(rmse_m=rmse_m + 0.5) <= of()
    assert of(steer_change=steer_change + 0.1) <= of()
    assert of(overspeed_mps=overspeed_mps + 1.0) <= of()
    assert of(pace=pace - 0.1) <= of()


def test_a_critic_s_promise_is_compared_with_what_came() -> None:
    returns = np.array([1 + 0.5 * (2 + 0.5 * (3 + 0.5 * 4)), 2 + 0.5 * (3 + 0.5 * 4), 5.0, 4.0])
    assert value_bias(returns, trace(), 0.5) == 0.0
    assert value_bias(returns + 1.5, trace(), 0.5) == 1.5
    steady = np.full(4, 2.0)  # 1 a step for ever, at a discount of 0.5
    cut_off = trace(rewards=np.ones(4), terminated=False)
    assert value_bias(steady, cut_off, 0.5) == 0.0


def test_a_crash_before_anything_was_driven_counts() -> None:
    at_once = episode(steps=1, collisions=1, distance_m=0.0, completion=0.0, success=False)
    whole = episode(steps=90, collisions=0, distance_m=500.0)
    assert summarise([at_once, whole])["collisions_per_km"].mean == pytest.approx(2.0)
    assert summarise([at_once, at_once, whole])["collisions_per_km"].mean == pytest.approx(4.0)


def test_a_rate_of_nothing_driven_is_no_number() -> None:
    """Not zero: who stands has not shown that he drives without collisions."""
    at_once = episode(steps=1, collisions=1, distance_m=0.0)
    stood = episode(steps=1, collisions=0, distance_m=0.0)
    for drives in ([at_once, at_once], [stood, stood], [at_once, stood]):
        assert summarise(drives)["collisions_per_km"].mean is None
        assert summarise(drives)["collisions_per_km"].interval is None


def test_no_collision_in_so_many_km_does_not_mean_none_ever() -> None:
    """SciPy's chi2.ppf((0.025, 0.975), (2 k, 2 k + 2)) / 2, for k = 0, 1, 14 and 300."""
    assert garwood(0) == pytest.approx((0.0, 3.688879), abs=1e-6)
    assert garwood(1) == pytest.approx((0.025318, 5.571643), abs=1e-6)
    assert garwood(14) == pytest.approx((7.653930, 23.489621), abs=1e-6)
    assert garwood(300) == pytest.approx((267.009275, 335.941126), abs=1e-6)
    found = summarise([episode(collisions=0, distance_m=500.0)])["collisions_per_km"]
    assert found.mean == 0.0
    assert found.interval == pytest.approx((0.0, 7.377759), abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.just(0.0) | st.floats(1e-9, 700.0)),
        min_size=1,
        max_size=6,
    )
)
def test_the_rate_is_all_collisions_over_all_distance(drives: list[tuple[int, float]]) -> None:
    episodes = [episode(collisions=count, distance_m=distance_m) for count, distance_m in drives]
    found = summarise(episodes)["collisions_per_km"].mean
    total_m = sum(distance_m for _, distance_m in drives)
    if found is None:
        assert total_m == 0.0
    else:
        assert found * total_m / 1e3 == pytest.approx(sum(count for count, _ in drives))
