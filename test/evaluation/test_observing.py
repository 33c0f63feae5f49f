# SPDX-License-Identifier: Apache-2.0
"""Drives of somebody else, measured from what was seen of the car."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from td3_driver.driving.driver import Driver
from td3_driver.driving.judging.infractions import Impact, Kind
from td3_driver.driving.judging.rules import LEADERBOARD_1, RULES, STRICT, Rules
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.route_files import PlannedRoute
from td3_driver.driving.routes.routing import RandomRoutes
from td3_driver.evaluation.closed_loop import Frame, drive
from td3_driver.evaluation.policies import Pursuit
from td3_driver.measures import standard
from td3_driver.measures.drives import per_episode, summary
from td3_driver.measures.observing import (
    WATCHED_UNTIL,
    Observation,
    Watched,
    without_routes,
)
from td3_driver.reports.report import report
from td3_driver.reports.results import Evaluation
from td3_driver.world.loop import road_users
from td3_driver.world.simulation import Simulation, WorldConfig

from ..carla_server.lit_streets import lit_streets

STEP_S, FRAMES = 0.05, 400


class Seen:
    """A pursuit's drive: its frames, its map and its route."""

    def __init__(self) -> None:
        self.road_map = RoadMap(lit_streets(0), "lit")
        world = Simulation(WorldConfig(seed=2, lights=True, traffic=5), self.road_map)
        config = standard.DRIVING
        driver = Driver(
            config, Pursuit(config), None, 1, routes=RandomRoutes(400.0, Purpose.EVALUATION)
        )
        frames = drive(driver, world)
        next(frame for frame in frames if driver.episode is not None)
        assert driver.route is not None
        self.route: Route = driver.route
        self.frames: list[Frame] = list(islice(frames, FRAMES))

    def watched(self, frames: Sequence[Frame]) -> Watched:
        seen = Watched()
        for tick in (frame.tick for frame in frames):
            seen.cars[tick.stamp_ns] = tick.ego
            seen.users[tick.stamp_ns] = road_users(tick)
            seen.lights[tick.stamp_ns] = tick.lights
            seen.executed[tick.stamp_ns] = tick.control
            seen.impacts += [
                (tick.stamp_ns, Impact(hit.other_actor_id, math.hypot(*hit.impulse)))
                for hit in tick.collisions
            ]
        return seen

    def observe(
        self, watched: Watched, rules: Rules = STRICT, planned: Sequence[PlannedRoute] = ()
    ) -> Observation:
        return Observation(watched, self.road_map, rules, STEP_S, planned)


@pytest.fixture(scope="module")
def seen() -> Seen:
    made = Seen()
    assert not any(frame.tick.collisions for frame in made.frames)
    return made


def test_the_lanes_that_were_driven_are_the_route(seen: Seen) -> None:
    found = seen.observe(seen.watched(seen.frames))
    (only,) = found.drives
    metrics, trace = only.metrics, only.trace
    assert (trace.reason, metrics.steps) == (WATCHED_UNTIL, FRAMES - 1)
    points_m = np.array([(f.ego.pose.x_m, f.ego.pose.y_m) for f in seen.frames])
    way_m = float(np.hypot(*np.diff(points_m, axis=0).T).sum())
    assert way_m > 50.0
    assert metrics.distance_m == pytest.approx(way_m, abs=2.0)
    assert metrics.lateral_rmse_m < 0.3
    speeds = [frame.ego.speed_mps for frame in seen.frames[1:]]
    assert metrics.mean_speed_mps == pytest.approx(np.mean(speeds))
    assert found.notes == []


@pytest.mark.parametrize("rules", [STRICT, LEADERBOARD_1], ids=lambda rules: rules.name)
def test_what_needs_a_route_is_not_measured(seen: Seen, rules: Rules) -> None:
    found = seen.observe(seen.watched(seen.frames), rules)
    assert not found.routes_known
    drives = found.drives
    told = without_routes({**summary(drives), "per_episode": per_episode(drives)})
    for name in ("success_rate", "route_completion", "driving_score", "score"):
        assert told[name] is told["confidence_95"][name] is None
        assert told["not_measured"][name] == "no route is known: routes:=FILE names some"
    (row,) = told["per_episode"]
    assert row["completion"] is row["success"] is row["route_length_m"] is None
    assert row["distance_m"] > 50.0
    assert told["mean_speed_mps"] > 1.0
    for kind in (Kind.DEVIATION, Kind.TIME_OUT, Kind.BLOCKED):
        if kind in rules.kinds:
            assert told["infractions_per_km"][kind.value] is None
            assert told["not_measured"][kind.value]


def test_the_page_says_what_was_not_measured(seen: Seen) -> None:
    drives = seen.observe(seen.watched(seen.frames), LEADERBOARD_1).drives
    evaluation = Evaluation(
        "driver of hero", None, "lit", None, (), None, (1.0, 1.0), LEADERBOARD_1
    )
    page = report(without_routes(evaluation.metrics(drives, {})), drives)
    assert "driver of hero: 1 drives on lit" in page
    assert "Along the lanes that were driven, without a known route" in page
    assert "no route is known" in page
    assert WATCHED_UNTIL in page


def test_a_given_route_is_joined_where_the_car_is(seen: Seen) -> None:
    other = Route(seen.route.points_m[::-1].copy())  # on which it never is
    planned = [PlannedRoute("other", other, None), PlannedRoute("7", seen.route, None)]
    found = seen.observe(seen.watched(seen.frames[100:]), planned=planned)
    (only,) = found.drives
    joined_m = seen.route.length_m - only.trace.route_length_m
    assert joined_m > 5.0
    assert found.notes == [f"route 7: joined {joined_m:.0f} m behind its start"]
    assert only.name == "7"
    assert 0.0 < only.metrics.completion < 1.0
    assert only.metrics.distance_m == pytest.approx(
        only.metrics.completion * only.trace.route_length_m
    )


def test_a_gap_and_a_car_that_was_moved_end_a_drive(seen: Seen) -> None:
    frames = [*seen.frames[:150], *seen.frames[170:300]]
    found = seen.observe(seen.watched(frames))
    assert [each.metrics.steps for each in found.drives] == [149, 129]
    moved = seen.watched(seen.frames)
    for stamp_ns, car in list(moved.cars.items())[200:]:
        pose = replace(car.pose, x_m=car.pose.x_m + 500.0)
        moved.cars[stamp_ns] = replace(car, pose=pose)
    assert seen.observe(moved).drives[0].metrics.steps == 199


def test_frames_that_were_missed_are_told(seen: Seen) -> None:
    found = seen.observe(seen.watched([*seen.frames[:50], *seen.frames[52:]]))
    assert found.notes == ["2 frames, one each 0.05 s, were missed"]


def test_a_collision_ends_a_drive_and_the_next_begins_a_second_later(seen: Seen) -> None:
    watched = seen.watched(seen.frames)
    for at in (100, 101, 105):
        watched.impacts.append((seen.frames[at].tick.stamp_ns, Impact(0, 500.0)))
    found = seen.observe(watched)
    assert [each.trace.reason for each in found.drives] == ["collision", WATCHED_UNTIL]
    assert [each.metrics.steps for each in found.drives] == [100, FRAMES - 1 - 121]
    assert found.drives[0].trace.struck == (Kind.LAYOUT,)


def test_a_control_that_nobody_tells_is_named(seen: Seen) -> None:
    watched = seen.watched(seen.frames)
    watched.executed.clear()
    (note,) = seen.observe(watched).notes
    assert note.startswith(f"{FRAMES - 1} frames do not tell the executed control")


def test_a_car_that_stands_drives_nothing(seen: Seen) -> None:
    standing = seen.watched(seen.frames[:1])
    car = seen.frames[0].ego
    for step in range(1, 100):
        stamp_ns = car.stamp_ns + step * 50_000_000
        standing.cars[stamp_ns] = replace(car, stamp_ns=stamp_ns)
    assert seen.observe(standing).drives == []


def way_m(seen: Seen, at: int) -> float:
    """How far along the route the car is in a frame."""
    pose = seen.frames[at].ego.pose
    return seen.route.passes((pose.x_m, pose.y_m), 1.0)[0][0]


def standing(seen: Seen, at: int, steps: int) -> Watched:
    """The drive up to a frame, where the car then stands."""
    watched = seen.watched(seen.frames[: at + 1])
    car = replace(seen.frames[at].ego, speed_mps=0.0)
    for step in range(1, steps):
        stamp_ns = car.stamp_ns + step * 50_000_000
        watched.cars[stamp_ns] = replace(car, stamp_ns=stamp_ns)
    return watched


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_who_stands_at_the_end_of_a_route_has_driven_it_once(seen: Seen, rules: Rules) -> None:
    short = Route(seen.route.points_m[: round(way_m(seen, 149))])
    planned = [PlannedRoute("7", short, None)]
    found = seen.observe(standing(seen, 149, 200), rules, planned)
    assert [each.trace.reason for each in found.drives] == ["route_end"]
    assert found.drives[0].metrics.completion == 1.0


def test_who_is_stuck_is_stuck_once(seen: Seen) -> None:
    planned = [PlannedRoute("7", seen.route, None)]
    found = seen.observe(standing(seen, 149, 500), planned=planned)
    assert [each.trace.reason for each in found.drives] == ["stuck"]


def test_of_routes_over_the_same_street_the_one_that_begins_there_is_driven(seen: Seen) -> None:
    later = seen.route.rest(way_m(seen, 150))
    planned = [PlannedRoute("all", seen.route, None), PlannedRoute("later", later, None)]
    found = seen.observe(seen.watched(seen.frames[150:]), planned=planned)
    assert [each.name for each in found.drives] == ["later"]
    assert found.notes == []


def test_who_only_rolls_backwards_drives_nothing(seen: Seen) -> None:
    watched = seen.watched(seen.frames)
    poses = [frame.ego.pose for frame in reversed(seen.frames)]
    for pose, (stamp_ns, car) in zip(poses, watched.cars.items(), strict=True):
        watched.cars[stamp_ns] = replace(car, pose=pose, speed_mps=-car.speed_mps)
    assert seen.observe(watched).drives == []
