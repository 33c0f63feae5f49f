# SPDX-License-Identifier: Apache-2.0
"""Traffic at lights, stop signs and speed limits."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.types import Control, LightState
from td3_driver.world.bodies.boxes import NOBODY, Bodies
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.scene import Scene
from td3_driver.world.simulation import Simulation, WorldConfig
from td3_driver.world.traffic.lane_network import SPEED_LIMIT_MPS, LaneNetwork
from td3_driver.world.traffic.vehicles import Traffic
from td3_driver.world.traffic_lights import TrafficLights

from ..carla_server.lit_streets import lit_streets
from ..opendrive.making import lane, read, road, section, touches
from ..towns import town_of
from .test_traffic import FAR_AWAY, overlaps, speeds

RED, YELLOW, GREEN, OFF, UNKNOWN = LightState
LIT = "lit streets"
CYCLE_S = 45.0  # of three ways into a junction
STEP_S = 0.1


@cache
def lit() -> RoadMap:
    """A generated town with sixteen lights at the ways into its junctions."""
    return RoadMap(lit_streets(2), LIT)


def named(town: str) -> RoadMap:
    return lit() if town == LIT else town_of(town)


class Lines:
    """Where the lanes of a town meet its lights, and who crosses there."""

    def __init__(self, road_map: RoadMap) -> None:
        met = [
            (number, LanePlace.on(road_map.lanes[stop.lane], stop.s_m))
            for number, signal in enumerate(road_map.lights)
            for stop in signal.stops
        ]
        self.lights = np.array([number for number, _ in met])
        self._poses = np.array([(place.x_m, place.y_m, place.yaw_rad) for _, place in met])

    def before_m(self, bodies: Bodies) -> np.ndarray:
        """(N, lines) m from fronts to the lines, negative past them; NaN for other lanes."""
        yaw = bodies.poses[:, 2]
        ahead = np.column_stack([np.cos(yaw), np.sin(yaw)])
        fronts = bodies.poses[:, :2] + bodies.sizes_m[:, :1] / 2.0 * ahead
        apart = self._poses[:, :2] - fronts[:, None]
        cos, sin = np.cos(self._poses[:, 2]), np.sin(self._poses[:, 2])
        along = cos * apart[..., 0] + sin * apart[..., 1]
        beside = np.abs(cos * apart[..., 1] - sin * apart[..., 0])
        turned = np.abs(np.remainder(yaw[:, None] - self._poses[:, 2] + np.pi, 2 * np.pi) - np.pi)
        here = (beside < 1.5) & (turned < 0.8) & (np.abs(along) < 30.0)
        return np.where(here, along, np.nan)


def drive(
    road_map: RoadMap, count: int, duration_s: float, seed: int, step_s: float = STEP_S
) -> None:
    """Drive with lights, and for a while without, and check what must hold."""
    mean_mps = {}
    for regulated in (False, True):
        network = LaneNetwork(road_map.lane_graph, regulated=regulated)
        signals = road_map if regulated else None
        rng = np.random.default_rng(seed)
        traffic = Traffic(network, count, FAR_AWAY, rng, signals=signals)
        lights, lines = TrafficLights(road_map), Lines(road_map)
        lights.begin(rng)
        driven_m, stood_s, crossed = np.zeros(count), np.zeros(count), [0] * 5
        steps = round((duration_s if regulated else 60.0) / step_s)
        before = traffic.bodies()
        was_m = lines.before_m(before)
        for step in range(steps):
            traffic.step(step_s, NOBODY, set(), lights.shown())
            after = traffic.bodies()
            is_m = lines.before_m(after)
            if before.actor_ids.tolist() == after.actor_ids.tolist():
                moved_m = np.hypot(*(after.poses - before.poses)[:, :2].T)
                driven_m += moved_m
                stood_s = np.where(moved_m > 0.0, 0.0, stood_s + step_s)
                for _, line in np.argwhere((was_m >= 0.0) & (is_m < 0.0)):
                    crossed[lights.state(lines.lights[line])] += 1
            before, was_m = after, is_m
            if regulated:
                assert stood_s.max() <= 2.0 * CYCLE_S, "everybody moves on"
            if step % 10 == 0:
                assert overlaps(after) == []
            lights.step(step_s)
        mean_mps[regulated] = driven_m.mean() / (steps * step_s)
        if regulated:
            assert crossed[RED] == 0
            assert crossed[GREEN] > 2 * count
            assert crossed[YELLOW] > 0, "who is too near to stop"
            assert driven_m.min() > 0.8 * duration_s, "everybody gets on"
        else:
            assert crossed[RED] > 0, "without lights they mean nothing"
    assert mean_mps[True] > 0.4 * mean_mps[False]


@pytest.mark.parametrize("town", [LIT, "Town01", "Town02"])
def test_twenty_vehicles_obey_lights_for_five_minutes(town: str) -> None:
    drive(named(town), 20, 300.0, seed=0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("town", [LIT, "Town01", "Town02"])
def test_twenty_vehicles_obey_lights_for_twenty_minutes(town: str, seed: int) -> None:
    drive(named(town), 20, 1200.0, seed, step_s=0.05)


def meeting_arms(signal: str, at_m: float) -> RoadMap:
    """Two roads of 100 m that meet without a junction, each with a signal before that."""
    told = '<signals><signal id="{}" s="{}" t="-4" {} orientation="+"/></signals>'
    arms = [
        road(
            number,
            100.0,
            section(0, lane(-1, after=[-1])),
            section(60, lane(-1, before=[-1], after=[-1])),
            at=at,
            links=touches("successor", 2, "start"),
            more=told.format(number, at_m, signal),
        )
        for number, at in ((0, (0.0, 0.0, 0.0)), (1, (14.2, 51.4, -0.54)))
    ]
    return read(*arms, road(2, 100.0, section(0, lane(-1)), at=(100.0, 0.0, 0.0)))


def test_lines_are_where_lanes_meet_their_lights() -> None:
    """Also on lanes that traffic sees cut where roads meet without a junction."""
    meeting = meeting_arms('type="206"', 97.0)
    for road_map, count in ((meeting, 2), (lit(), 16)):
        network = LaneNetwork(road_map.lane_graph)
        stops = [
            stop
            for signal in (*road_map.lights, *road_map.stop_signs)
            for stop in signal.stops
        ]
        assert len(stops) == count
        for stop in stops:
            place = network.place_of(*stop)
            assert place is not None
            at = network.points(np.array([place[0]]), np.array([place[1]]))[0]
            meant = LanePlace.on(road_map.lanes[stop.lane], stop.s_m)
            assert at == pytest.approx((meant.x_m, meant.y_m), abs=0.05)
            inside = network.junction_id[place[0]]
            assert inside == -1, "before the junction"


LINE_M = 200.0


def one_way(signal: str, speed: str = "", line_m: float = LINE_M) -> RoadMap:
    """400 m of one lane with a signal after 200 m, where the stretch goes on."""
    told = f'<signals><signal id="s" s="{line_m}" t="-3" orientation="+" {signal}/></signals>'
    return read(road(0, 400.0, section(0, lane(-1)), more=speed + told))


LIGHT = one_way('type="1000001" dynamic="yes"')


def alone(road_map: RoadMap) -> Traffic:
    network = LaneNetwork(road_map.lane_graph, regulated=True)
    return Traffic(network, 1, FAR_AWAY, np.random.default_rng(0), signals=road_map)


def front_m(bodies: Bodies) -> float:
    return float((bodies.poses[:, 0] + bodies.sizes_m[:, 0] / 2.0).max(initial=-1.0))


def approach(traffic: Traffic, way_m: float) -> None:
    """Drive at green until the vehicle's front is so far before the line."""
    while not LINE_M - way_m - 0.5 < front_m(traffic.bodies()) <= LINE_M - way_m:
        traffic.step(0.05, NOBODY, set(), np.array([GREEN], np.uint8))


@pytest.mark.parametrize(
    ("state", "way_m", "stops"),
    [
        (RED, 60.0, True),
        (RED, 20.0, True),
        (YELLOW, 60.0, True),
        (YELLOW, 20.0, True),
        (YELLOW, 14.0, True),
        (YELLOW, 8.0, False),
        (YELLOW, -0.5, False),
        (RED, -0.5, False),
        (OFF, 20.0, False),
        (UNKNOWN, 20.0, False),
    ],
)
def test_what_a_light_asks_of_who_comes(state: LightState, way_m: float, stops: bool) -> None:
    traffic = alone(LIGHT)
    approach(traffic, way_m)
    hardest_mps2 = 0.0
    for _ in range(300):
        traffic.step(0.05, NOBODY, set(), np.array([state], np.uint8))
        hardest_mps2 = min(hardest_mps2, traffic.bodies().accelerations_mps2[:, 0].min(initial=0))
        if front_m(traffic.bodies()) > LINE_M + 50.0:
            break
    assert hardest_mps2 > -3.2
    if not stops:
        assert front_m(traffic.bodies()) > LINE_M + 50.0
        return
    assert LINE_M - 3.0 < front_m(traffic.bodies()) < LINE_M - 0.4
    assert speeds(traffic.bodies()).max() < 0.05
    for _ in range(100):
        traffic.step(0.05, NOBODY, set(), np.array([GREEN], np.uint8))
    assert front_m(traffic.bodies()) > LINE_M


def test_nobody_begins_too_fast_to_stop() -> None:
    """Also who is placed with its front just before a red light."""
    line_m = 198.2
    road_map = one_way('type="1000001"', line_m=line_m)
    network = LaneNetwork(road_map.lane_graph, regulated=True)
    nearest_m = np.inf
    for seed in range(8):
        rng = np.random.default_rng(seed)
        traffic = Traffic(network, 20, FAR_AWAY, rng, signals=road_map)
        bodies = traffic.bodies()
        before_m = line_m - bodies.poses[:, 0] - bodies.sizes_m[:, 0] / 2.0
        coming = bodies.actor_ids[before_m > 0.0]
        nearest_m = min(nearest_m, before_m[before_m > 0.0].min())
        for _ in range(60):
            traffic.step(STEP_S, NOBODY, set(), np.array([RED], np.uint8))
        bodies = traffic.bodies()
        fronts_m = bodies.poses[:, 0] + bodies.sizes_m[:, 0] / 2.0
        assert (fronts_m[np.isin(bodies.actor_ids, coming)] < line_m).all()
    assert nearest_m < 1.0


def test_everybody_stops_at_a_stop_sign_and_goes_on() -> None:
    road_map = one_way('type="206"')
    network = LaneNetwork(road_map.lane_graph, regulated=True)
    traffic = Traffic(network, 6, FAR_AWAY, np.random.default_rng(1), signals=road_map)
    stopped, passed = set(), 0
    was_m = dict[int, float]()
    for _ in range(3000):
        traffic.step(0.1, NOBODY, set())
        bodies = traffic.bodies()
        fronts = bodies.poses[:, 0] + bodies.sizes_m[:, 0] / 2.0
        for actor_id, at_m, mps in zip(
            bodies.actor_ids.tolist(), fronts.tolist(), speeds(bodies).tolist(), strict=True
        ):
            if mps < 0.1 and LINE_M - 3.0 < at_m < LINE_M:
                stopped.add(actor_id)
            if was_m.get(actor_id, LINE_M) < LINE_M <= at_m:
                passed += 1
                assert actor_id in stopped
            was_m[actor_id] = at_m
    assert passed > 15


def test_who_waits_at_red_keeps_nobody_else_from_a_junction() -> None:
    """Who was let in, and has to stop after all, leaves the way to whose light is green."""
    road_map = meeting_arms('type="1000001"', 84.0)
    network, lines = LaneNetwork(road_map.lane_graph, regulated=True), Lines(road_map)
    waited = 0
    for seed in range(30):
        traffic = Traffic(network, 2, FAR_AWAY, np.random.default_rng(seed), signals=road_map)
        shown = np.full(2, GREEN, np.uint8)
        while np.nanmin(np.abs(lines.before_m(traffic.bodies())), initial=50.0) > 12.0:
            traffic.step(STEP_S, NOBODY, set(), shown)
        before_m = lines.before_m(traffic.bodies())
        first, line = np.argwhere(before_m < 12.5)[0]
        other = 1 - first
        if not 14.0 < before_m[other, 1 - line] < 30.0:
            continue  # they do not come at the same time
        shown[lines.lights[line]] = RED
        for _ in range(150):
            traffic.step(STEP_S, NOBODY, set(), shown)
        before_m = lines.before_m(traffic.bodies())
        assert 0.0 < before_m[first, line] < 3.0
        assert not 0.0 <= before_m[other, 1 - line] < 30.0, "it has gone"
        waited += 1
    assert waited


def limited(attributes: str) -> str:
    return f'<type s="0" type="town"><speed {attributes}/></type>'


def test_speed_limits_of_the_map_count_where_lights_do() -> None:
    road_map = one_way('type="1000001"', limited('max="18" unit="km/h"'))
    plain, told = (
        LaneNetwork(road_map.lane_graph, regulated=regulated) for regulated in (False, True)
    )
    at = np.zeros(3, np.int64), np.array([20.0, 200.0, 380.0])
    assert plain.speed_limits(*at) == pytest.approx([SPEED_LIMIT_MPS] * 3)
    assert told.speed_limits(*at) == pytest.approx([5.0] * 3)
    high = one_way('type="1000001"', limited('max="90" unit="km/h"'))
    network = LaneNetwork(high.lane_graph, regulated=True)
    assert network.speed_limits(*at) == pytest.approx([SPEED_LIMIT_MPS] * 3)
    traffic = Traffic(told, 6, FAR_AWAY, np.random.default_rng(0), signals=road_map)
    fastest_mps = 0.0
    for _ in range(400):
        traffic.step(STEP_S, NOBODY, set(), np.array([GREEN], np.uint8))
        fastest_mps = max(fastest_mps, speeds(traffic.bodies()).max())
    assert 4.5 < fastest_mps <= 5.0


def test_a_limit_counts_until_the_next_is_told() -> None:
    """Through a road that tells none, as those in junctions; the next one tells 7 m/s."""
    roads = [
        road(
            number,
            100.0,
            section(0, lane(-1, before=[-1] * (number > 0), after=[-1] * (number < 2))),
            at=(100.0 * number, 0.0, 0.0),
            links=(touches("predecessor", number - 1, "end") if number else "")
            + (touches("successor", number + 1, "start") if number < 2 else ""),
            more=speed,
        )
        for number, speed in enumerate((limited('max="5"'), "", limited('max="7"')))
    ]
    network = LaneNetwork(read(*roads).lane_graph, regulated=True)
    points = network.points(np.zeros(3, np.int64), np.array([50.0, 150.0, 250.0]))
    assert points[:, 0] == pytest.approx([50.0, 150.0, 250.0]), "one stretch"
    seen = network.speed_limits(np.zeros(3, np.int64), np.array([50.0, 150.0, 250.0]))
    assert seen == pytest.approx([5.0, 5.0, 7.0])


def test_the_crowd_of_a_scene_obeys_what_lights_are_told() -> None:
    """As the clients of a CARLA server tell them: red and frozen, then off."""
    scene = Scene(lit(), traffic=15, lights=True)
    assert scene.lights is not None
    lines = Lines(lit())
    for number in range(len(scene.lights.lights)):
        scene.lights.set_state(number, RED)
    scene.lights.freeze_all(True)
    before = lines.before_m(scene.others.bodies())
    for _ in range(600):
        scene.step(STEP_S)
        after = lines.before_m(scene.others.bodies())
        assert not ((before >= 0.0) & (after < 0.0)).any()
        before = after
    waiting = speeds(scene.others.bodies()) < 0.05
    assert waiting.sum() > 5
    for number in range(len(scene.lights.lights)):
        scene.lights.set_state(number, OFF)
    for _ in range(100):
        scene.step(STEP_S)
    assert (speeds(scene.others.bodies()) < 0.05).sum() < waiting.sum() / 2


def test_an_episode_driven_again_meets_the_same_lights() -> None:
    """And the same traffic at them, whatever was driven before."""
    small = {"cameras": (CameraConfig(width_px=16, height_px=12),)}
    simulation = Simulation(WorldConfig(traffic=8, lights=True, **small), lit())
    runs = []
    for seed, steps in ((1, 160), (2, 77), (1, 160)):
        simulation.reset_pose(simulation.spawn_pose(seed))
        simulation.set_target_velocity(0.0)
        told = []
        for _ in range(steps):
            tick = simulation.step(Control(throttle=0.2))
            told.append(tick.lights.tobytes() + tick.others.poses.tobytes() + tick.image.tobytes())
        runs.append(told)
    assert runs[0] == runs[2]
    assert runs[0] != runs[1][:160]
    assert len({run[:16] for run in runs[0]}) > 1, "they change"


def test_lights_begin_at_a_drawn_moment_of_their_cycle() -> None:
    """Each state as often as it lasts, and in step with those of its junction."""
    lights = TrafficLights(lit())
    for _ in range(137):
        lights.step(0.05)
    seen = np.zeros(3)
    for seed in range(300):
        lights.begin(np.random.default_rng(seed))
        shown = lights.shown()
        seen += np.bincount(shown, minlength=3)
        for number in range(len(shown)):
            group = shown[[*lights.group_of(number)]]
            assert (group != RED).sum() <= 1
    ways = len(lights.group_of(0))
    shares = seen / seen.sum()
    assert ways in (3, 4)
    assert shares[YELLOW] / shares[GREEN] == pytest.approx(0.3, abs=0.06)
    assert shares[GREEN] == pytest.approx(10.0 / CYCLE_S, abs=0.06)


def test_a_beginning_is_the_same_whenever_it_is() -> None:
    """To the step: time that has passed before must not round another way."""
    told = []
    for passed in (0, 12345):
        lights = TrafficLights(lit())
        for _ in range(passed):
            lights.step(0.05)
        lights.begin(np.random.default_rng(7))
        shown = []
        for _ in range(3000):
            lights.step(0.05)
            shown.append(lights.shown().tobytes())
        told.append(shown)
    assert told[0] == told[1]
