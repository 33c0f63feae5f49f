# SPDX-License-Identifier: Apache-2.0
"""Vehicles and pedestrians: they move, keep apart, give way, and repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import FULL_BRAKE, Control, Pose
from td3_driver.world.bodies.boxes import NOBODY, Bodies, everybody
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.ground.surface import OBSTACLE, Surface
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.scene import Scene
from td3_driver.world.simulation import Simulation, WorldConfig, WorldConfigError
from td3_driver.world.traffic.lane_network import SPEED_LIMIT_MPS, LaneNetwork
from td3_driver.world.traffic.vehicles import Traffic
from td3_driver.world.traffic.walkers import Walkers, find_crossings

from ..opendrive.making import lane, read, road, section, touches
from ..towns import STREETS, town_of

STEP_S = 0.05
FAR_AWAY = [Pose(1e5, 1e5, 0.0)]
IN_TOWN01 = pytest.mark.parametrize("town", [STREETS, "Town01"], indirect=True)
IN_TOWN02 = pytest.mark.parametrize("town", [STREETS, "Town02"], indirect=True)
SMALL = {"cameras": (CameraConfig(width_px=16, height_px=12),)}


@pytest.fixture(scope="module")
def network(town: RoadMap) -> LaneNetwork:
    return LaneNetwork(town.lane_graph)


@pytest.fixture(scope="module")
def loop_network(loop: RoadMap) -> LaneNetwork:
    return LaneNetwork(loop.lane_graph)


def box(pose: Pose, velocity_mps: tuple[float, float] = (0.0, 0.0)) -> Bodies:
    """One car of 4.8 m by 2.2 m."""
    return Bodies.steady(
        np.zeros(1, np.int64),
        np.array([(pose.x_m, pose.y_m, pose.yaw_rad)]),
        np.array([(4.8, 2.2, 1.5)]),
        np.array([velocity_mps]),
        np.array([1800.0]),
        np.zeros((1, 3)),
    )


def overlaps(bodies: Bodies) -> list[tuple[int, int]]:
    """Pairs of rows that share ground, as shapely sees it."""
    shapely = pytest.importorskip("shapely", "2.0")
    polygons = shapely.polygons(bodies.corners())
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    return [(int(i), int(j)) for i, j in zip(one, other, strict=True) if i < j]


def speeds(bodies: Bodies) -> np.ndarray:
    return np.hypot(bodies.velocities_mps[:, 0], bodies.velocities_mps[:, 1])


@IN_TOWN01
def test_twenty_vehicles_drive_for_five_minutes_without_touching(network: LaneNetwork) -> None:
    traffic = Traffic(network, 20, FAR_AWAY, np.random.default_rng(0))
    driven_m, stood_s = np.zeros(20), np.zeros(20)
    for step in range(6000):
        before = traffic.bodies().poses[:, :2]
        traffic.step(STEP_S, NOBODY, set())
        bodies = traffic.bodies()
        moved_m = np.linalg.norm(bodies.poses[:, :2] - before, axis=1)
        assert moved_m.max() < 1.1 * SPEED_LIMIT_MPS * STEP_S, "nobody jumps"
        driven_m += moved_m
        stood_s = np.where(moved_m > 0.0, 0.0, stood_s + STEP_S)
        assert stood_s.max() < 60.0, "nobody waits for ever"
        if step % 3 == 0:
            assert overlaps(bodies) == []
    assert driven_m.min() > 900.0


@IN_TOWN02
def test_dense_traffic_neither_touches_nor_locks(network: LaneNetwork) -> None:
    """A hundred in the smallest town: more than half of all places are taken."""
    traffic = Traffic(network, 100, FAR_AWAY, np.random.default_rng(1))
    driven_m = np.zeros(100)
    for step in range(1600):
        before = traffic.bodies().poses[:, :2]
        traffic.step(STEP_S, NOBODY, set())
        driven_m += np.linalg.norm(traffic.bodies().poses[:, :2] - before, axis=1)
        if step % 5 == 0:
            assert overlaps(traffic.bodies()) == []
    assert driven_m.min() > 25.0
    assert driven_m.mean() > 80.0


@pytest.mark.parametrize("difficulty", ["town", "city"])
def test_generated_streets_with_roundabouts_and_two_lanes(difficulty: str) -> None:
    road_map = RoadMap(generate_opendrive(2, difficulty), difficulty)
    network = LaneNetwork(road_map.lane_graph)
    traffic = Traffic(network, 30, FAR_AWAY, np.random.default_rng(0))
    driven_m = np.zeros(30)
    for step in range(1600):
        before = traffic.bodies().poses[:, :2]
        traffic.step(STEP_S, NOBODY, set())
        driven_m += np.linalg.norm(traffic.bodies().poses[:, :2] - before, axis=1)
        if step % 4 == 0:
            assert overlaps(traffic.bodies()) == []
    assert driven_m.min() > 50.0


@IN_TOWN02
def test_bends_are_taken_slowly(network: LaneNetwork) -> None:
    traffic = Traffic(network, 20, FAR_AWAY, np.random.default_rng(2))
    before = traffic.bodies()
    for _ in range(800):
        traffic.step(STEP_S, NOBODY, set())
        after = traffic.bodies()
        turn = (after.poses[:, 2] - before.poses[:, 2] + math.pi) % (2.0 * math.pi) - math.pi
        assert (np.abs(turn / STEP_S) * speeds(after)).max() < 4.5, "m/s2 to the side"
        before = after


def two_way_road(rule: str = "") -> RoadMap:
    """300 m with a dead end at each end, and a third lane that opens and closes again."""
    opens = '<width sOffset="0" a="0" b="0.07"/><width sOffset="50" a="3.5"/>'
    closes = '<width sOffset="0" a="3.5"/><width sOffset="50" a="3.5" b="-0.07"/>'
    return read(
        road(
            0,
            300.0,
            section(
                0, lane(1, after=[1]), lane(-1, after=[-1]), lane(-2, after=[-2], widths=opens)
            ),
            section(150, lane(1), lane(-1, before=[-1]), lane(-2, widths=closes)),
            attributes=rule,
        )
    )


@pytest.mark.parametrize("rule", ["", 'rule="LHT"'])
def test_who_comes_to_a_lane_s_end_leaves_and_others_come(rule: str) -> None:
    """Nobody vanishes in the middle of a road or appears there, nor on top of somebody."""
    road_map = two_way_road(rule)
    network = LaneNetwork(road_map.lane_graph)
    traffic = Traffic(network, 12, FAR_AWAY, np.random.default_rng(0))
    before, seen, left, came = traffic.bodies(), set(traffic.bodies().actor_ids), 0, 0
    for _ in range(2400):
        traffic.step(STEP_S, NOBODY, set())
        now = traffic.bodies()
        stayed = np.isin(now.actor_ids, before.actor_ids)
        moved_m = np.hypot(
            *(now.poses[stayed] - before.poses[np.isin(before.actor_ids, now.actor_ids)])[:, :2].T
        )
        assert moved_m.max(initial=0.0) < 1.0, "who stays does not jump"
        for x_m, _, _ in before.poses[~np.isin(before.actor_ids, now.actor_ids)]:
            left += 1
            # Lanes end at 300 m, at 0 m the other way, and the third one where it gets narrow.
            assert min(abs(x_m - end_m) for end_m in (0.0, 300.0, 223.0, 27.0)) < 4.0
        for x_m, _, _ in now.poses[~stayed]:
            came += 1
            assert min(abs(x_m - end_m) for end_m in (0.0, 300.0, 223.0, 27.0)) < 4.0
        assert not set(now.actor_ids[~stayed]) & seen, "a vehicle that comes is another one"
        seen |= set(now.actor_ids)
        assert overlaps(now) == []
        assert (np.abs(now.velocities_mps[:, 1]) < 2.0).all()
        before = now
    assert left > 20
    assert came > 20
    assert len(before.actor_ids) > 6


def test_nobody_comes_in_near_the_car() -> None:
    network = LaneNetwork(two_way_road().lane_graph)
    traffic = Traffic(network, 12, FAR_AWAY, np.random.default_rng(0))
    ego = box(Pose(8.0, -1.75, 0.0))
    for _ in range(1200):
        before = set(traffic.bodies().actor_ids)
        traffic.step(STEP_S, ego, set())
        new = ~np.isin(traffic.bodies().actor_ids, list(before))
        assert (np.hypot(*(traffic.bodies().poses[new, :2] - (8.0, -1.75)).T) > 15.0).all()


def test_more_than_fit_come_one_after_the_other() -> None:
    network = LaneNetwork(two_way_road().lane_graph)
    traffic = Traffic(network, 60, FAR_AWAY, np.random.default_rng(0))
    assert 0 < len(traffic.bodies().actor_ids) < 60
    traffic.push(len(traffic.bodies().actor_ids) - 1, 1.0)
    for _ in range(200):
        traffic.step(STEP_S, NOBODY, set())
        assert overlaps(traffic.bodies()) == []


def test_short_sections_hurry_nobody() -> None:
    """Two hundred sections of 0.1 m between two of 80 m, as some tools write bends."""
    starts = [0.0, *(80.0 + 0.1 * number for number in range(201))]
    both = [lane(n, before=[n], after=[n]) for n in (1, -1)]
    road_map = read(road(0, 180.0, *(section(s, *both) for s in starts)))
    traffic = Traffic(LaneNetwork(road_map.lane_graph), 8, FAR_AWAY, np.random.default_rng(0))
    for _ in range(800):
        before = traffic.bodies()
        traffic.step(STEP_S, NOBODY, set())
        after = traffic.bodies()
        assert overlaps(after) == []
        stayed = np.isin(after.actor_ids, before.actor_ids)
        was = np.isin(before.actor_ids, after.actor_ids)
        moved_m = np.hypot(*(after.poses[stayed] - before.poses[was])[:, :2].T)
        speed_mps = np.maximum(speeds(after)[stayed], speeds(before)[was])
        assert (moved_m <= speed_mps * STEP_S + 1e-3).all()
        assert np.abs(after.yaw_rates_radps).max(initial=0.0) < 0.1


def test_nobody_comes_in_beside_lanes_that_go_on() -> None:
    """The third lane of the two-way road begins beside one that comes from further away."""
    opening = '<width sOffset="0" a="0" b="0.07"/><width sOffset="50" a="3.5"/>'
    road_map = read(
        road(
            0,
            300.0,
            section(0, lane(-1, after=[-1])),
            section(100, lane(-1, before=[-1]), lane(-2, widths=opening)),
        )
    )
    network = LaneNetwork(road_map.lane_graph)
    assert len(network) == 3  # the second lane, the first from end to end, and what is outside
    begins = [network.points(np.array([entry]), np.zeros(1))[0] for entry in network.entries]
    assert np.array(begins) == pytest.approx(np.array([(0.0, -1.75)]))


def test_roads_that_meet_without_a_junction_give_way_there() -> None:
    arms = [
        road(
            n,
            100.0,
            section(0, lane(-1, after=[-1])),
            at=(0.0, 60.0 * (n == 1), 0.0 if n == 0 else -0.54),
            links=touches("successor", 2, "start"),
        )
        for n in (0, 1)
    ]
    third = road(2, 100.0, section(0, lane(-1)), at=(100.0, 0.0, 0.0))
    network = LaneNetwork(read(arms[0], third).lane_graph)
    assert not network.guarded.any()
    arms[1] = arms[1].replace('y="60.0"', 'y="51.4"').replace('x="0.0"', 'x="14.2"')
    meeting = LaneNetwork(read(*arms, third).lane_graph)
    assert meeting.guarded.sum() == 2
    assert meeting.length_m[meeting.guarded] == pytest.approx([15.0, 15.0])
    traffic = Traffic(meeting, 8, FAR_AWAY, np.random.default_rng(0))
    for _ in range(800):
        traffic.step(STEP_S, NOBODY, set())
        assert overlaps(traffic.bodies()) == []


def test_a_loop_of_one_road_has_traffic() -> None:
    ring_m = 2.0 * math.pi * 40.0
    links = touches("predecessor", 0, "end") + touches("successor", 0, "start")
    both = section(0, lane(1, before=[1], after=[1]), lane(-1, before=[-1], after=[-1]))
    road_map = read(road(0, ring_m, both, shape='<arc curvature="0.025"/>', links=links))
    network = LaneNetwork(road_map.lane_graph)
    assert not len(network.entries)
    traffic = Traffic(network, 8, FAR_AWAY, np.random.default_rng(0))
    ids = traffic.bodies().actor_ids.tolist()
    for _ in range(1000):
        traffic.step(STEP_S, NOBODY, set())
        assert overlaps(traffic.bodies()) == []
    assert traffic.bodies().actor_ids.tolist() == ids
    assert speeds(traffic.bodies()).min() > 4.0


def ahead_of(traffic: Traffic, network: LaneNetwork, row: int, way_m: float) -> Pose:
    """A pose on the route of a vehicle, so far ahead of its middle."""
    routes = traffic.routes
    at = routes.s_m[row] + np.array([[way_m, way_m + 0.5]])
    (x, y), (x2, y2) = routes.points(np.array([row]), at)[0]
    return Pose(float(x), float(y), math.atan2(y2 - y, x2 - x))


def test_nobody_drives_into_a_standing_car(loop_network: LaneNetwork) -> None:
    traffic = Traffic(loop_network, 12, FAR_AWAY, np.random.default_rng(3))
    car = box(ahead_of(traffic, loop_network, 0, 25.0))
    for step in range(1600):
        traffic.step(STEP_S, car, set())
        if step % 3 == 0:
            assert overlaps(everybody(car, traffic.bodies())) == []
    standing = speeds(traffic.bodies()) < 0.05
    gap_m = np.linalg.norm(traffic.bodies().poses[:, :2] - car.poses[:, :2], axis=1)
    assert standing.sum() >= 4, "a queue"
    assert 5.0 < gap_m[standing].min() < 10.0, "close up"
    for _ in range(400):
        traffic.step(STEP_S, NOBODY, set())
    assert speeds(traffic.bodies()).min() > 1.0, "and on when the car has gone"


def test_a_follower_keeps_the_distance_of_the_intelligent_driver_model(
    loop_network: LaneNetwork,
) -> None:
    """Treiber 2000, equation 5: at constant speed v the gap is (s0 + vT) / sqrt(1 - (v/v0)^4)."""
    traffic = Traffic(loop_network, 1, FAR_AWAY, np.random.default_rng(4))
    leader_mps, wanted_mps = 5.0, 0.95 * SPEED_LIMIT_MPS
    way_m = 25.0
    gaps_m = []
    start_s_m, routes = float(traffic.routes.s_m[0]), traffic.routes
    for _ in range(900):
        # Distances along the route restart with each lane, so the leader's is measured from it.
        pose = ahead_of(traffic, loop_network, 0, way_m)
        velocity = leader_mps * math.cos(pose.yaw_rad), leader_mps * math.sin(pose.yaw_rad)
        before = traffic.bodies()
        traffic.step(STEP_S, box(pose, velocity), set())
        way_m += (leader_mps - float(speeds(before)[0])) * STEP_S
        gaps_m.append(way_m - 2.4 - float(before.sizes_m[0, 0]) / 2.0)
    assert routes.s_m[0] != start_s_m
    expected_m = (2.0 + leader_mps * 1.2) / math.sqrt(1.0 - (leader_mps / wanted_mps) ** 4)
    side_m = float(traffic.bodies().sizes_m[0, 1]) / 2.0 + 0.3  # kept to all sides
    assert np.mean(gaps_m[-100:]) == pytest.approx(expected_m + side_m, abs=1.0)


@IN_TOWN02
def test_junctions_are_entered_one_path_at_a_time(network: LaneNetwork) -> None:
    traffic = Traffic(network, 40, FAR_AWAY, np.random.default_rng(5))
    together = 0
    for _ in range(800):
        traffic.step(STEP_S, NOBODY, set())
        present = traffic.routes.lanes[:, 2]
        assert not network.conflicts[np.ix_(present, present)].any()
        inside = network.junction_id[present]
        together += len(inside[inside >= 0]) - len(np.unique(inside[inside >= 0]))
    assert together > 0, "paths that do not touch are driven at the same time"


@IN_TOWN02
def test_a_closed_junction_is_left_alone(network: LaneNetwork) -> None:
    traffic = Traffic(network, 40, FAR_AWAY, np.random.default_rng(6))
    closed = int(network.junction_id.max())
    lanes = np.flatnonzero(network.junction_id == closed)
    seen_before_s = 0.0
    for step in range(1600):
        traffic.step(STEP_S, NOBODY, set() if step < 800 else {closed})
        present = bool(np.isin(traffic.routes.lanes[:, 2], lanes).any())
        seen_before_s += present * STEP_S * (step < 800)
        assert step < 1100 or not present, "those let in before have left in 15 s"
    assert seen_before_s > 1.0


@pytest.mark.parametrize("others", [{"traffic": 70}, {"traffic": 20, "pedestrians": 60}])
def test_a_car_put_where_somebody_is_does_not_collide(
    loop: RoadMap, others: dict[str, int]
) -> None:
    simulation = Simulation(WorldConfig(**others, **SMALL), loop)
    for row in range(0, 70, 10):
        assert simulation.others is not None
        x, y, yaw = simulation.others.poses[row].tolist()
        simulation.reset_pose(Pose(x, y, yaw))
        simulation.set_target_velocity(0.0)
        for _ in range(60):
            assert simulation.step(FULL_BRAKE).collisions == ()


def test_an_episode_driven_again_meets_the_same_others(loop: RoadMap) -> None:
    simulation = Simulation(WorldConfig(traffic=15, pedestrians=5, **SMALL), loop)
    runs = []
    for seed in (1, 2, 1):
        simulation.reset_pose(simulation.spawn_pose(seed))
        simulation.set_target_velocity(0.0)
        for _ in range(100):
            tick = simulation.step(Control(throttle=0.3))
        assert simulation.others is not None
        runs.append((simulation.others.poses.tobytes(), tick.image.tobytes()))
    assert runs[0] == runs[2]
    assert runs[0] != runs[1]


def test_the_seed_decides(loop: RoadMap) -> None:
    def poses(seed: int) -> bytes:
        simulation = Simulation(WorldConfig(traffic=15, seed=seed, **SMALL), loop)
        simulation.reset_pose(Pose(0.0, 0.0, 0.0))
        assert simulation.others is not None
        return simulation.others.poses.tobytes()

    assert poses(0) == poses(0)
    assert poses(0) != poses(1)


@IN_TOWN02
def test_pedestrians_cross_and_nobody_runs_them_over(town: RoadMap, town_surface: Surface) -> None:
    lanes = list(town.lanes.values())
    traffic = Traffic(LaneNetwork(town.lane_graph), 30, FAR_AWAY, np.random.default_rng(7))
    crossings = find_crossings(lanes, town_surface, 20)
    ends = np.concatenate([crossings.starts_m, crossings.ends_m])
    assert not (town_surface.class_at(ends) == OBSTACLE).any()
    walkers = Walkers(crossings, 20, FAR_AWAY, np.random.default_rng(8))
    before = walkers.bodies().poses[:, :2]
    walked_m = np.zeros(20)
    for step in range(1200):
        walkers.step(STEP_S, traffic.bodies())
        traffic.step(STEP_S, walkers.ways(), set())
        after = walkers.bodies().poses[:, :2]
        walked_m += np.linalg.norm(after - before, axis=1)
        before = after
        if step % 4 == 0:
            assert overlaps(everybody(traffic.bodies(), walkers.bodies())) == []
    assert (walked_m > 8.0).mean() > 0.8, "most have crossed at least once"


@IN_TOWN02
def test_who_is_run_into_stays_where_it_is(town: RoadMap, town_surface: Surface) -> None:
    crossings = find_crossings(list(town.lanes.values()), town_surface, 3)
    walkers = Walkers(crossings, 3, FAR_AWAY, np.random.default_rng(9))
    while not speeds(walkers.bodies())[0]:
        walkers.step(STEP_S, NOBODY)
    walkers.knock_down(0)
    pose = walkers.bodies().poses[0]
    for _ in range(400):
        walkers.step(STEP_S, NOBODY)
    assert np.array_equal(walkers.bodies().poses[0], pose)
    assert 0 in walkers.ways().actor_ids - 2000, "and is still driven round"


def test_many_pedestrians_cross_nearer_to_each_other(loop: RoadMap, loop_surface: Surface) -> None:
    few = len(find_crossings(list(loop.lanes.values()), loop_surface, 1).starts_m)
    world = Simulation(WorldConfig(pedestrians=2 * few, **SMALL), loop)
    assert world.others is not None
    assert len(np.unique(world.others.poses[:, :2], axis=0)) == 2 * few


@pytest.mark.parametrize("what", ["traffic", "pedestrians"])
def test_more_than_there_is_room_for_is_refused(loop: RoadMap, what: str) -> None:
    with pytest.raises(WorldConfigError, match=rf"{what} 999: there is room for \d+"):
        Simulation(WorldConfig(**{what: 999}, **SMALL), loop)
    for count in (-1, 1001):
        with pytest.raises(WorldConfigError, match=rf"{what} {count}; expected 0 to 1000"):
            WorldConfig(**{what: count})


def test_who_is_taken_away_does_not_come_back() -> None:
    """Also where others come onto the road, and among pedestrians."""
    world = Scene(town_of(STREETS), traffic=8, pedestrians=3)
    there = world.others.bodies().actor_ids.tolist()
    vehicle, person = there[2], there[-2]
    rest = [actor_id for actor_id in there if actor_id not in (vehicle, person)]
    assert world.remove(vehicle)
    assert world.remove(person)
    assert not world.remove(vehicle)
    for _ in range(20):
        assert world.others.bodies().actor_ids.tolist() == rest
        world.step(STEP_S)
    network = LaneNetwork(two_way_road().lane_graph)
    traffic = Traffic(network, 3, FAR_AWAY, np.random.default_rng(0))
    for actor_id in traffic.bodies().actor_ids.tolist()[1:]:
        assert traffic.remove(actor_id)
    for _ in range(1200):
        traffic.step(STEP_S, NOBODY, set())
        assert len(traffic.bodies().actor_ids) <= 1
