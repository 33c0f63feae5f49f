# SPDX-License-Identifier: Apache-2.0
"""A scene: cars that are commanded, walkers that are led and props, all solid, all removable."""

from __future__ import annotations

import hashlib
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scenariogeneration import xodr

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import FULL_BRAKE, Control, Pose
from td3_driver.world.bodies.boxes import Bodies, Body, penetration
from td3_driver.world.bodies.shapes import SHADE_TAG
from td3_driver.world.bodies.solid import PoseError
from td3_driver.world.bodies.vehicle import LENGTH_M, MASS_KG, MODEL_3, ControlError, Vehicle
from td3_driver.world.bodies.walker import MASS_KG as WALKER_KG
from td3_driver.world.camera.camera import Camera, CameraConfig
from td3_driver.world.ground.surface import Surface
from td3_driver.world.scene import RESERVED_IDS, Collision, OccupiedError, Scene
from td3_driver.world.semantic_class import SemanticClass
from td3_driver.world.simulation import Simulation, WorldConfig

STEP_S = 0.05
GRAVITY_MPS2 = 9.81
Y_M = -1.75  # the right-hand lane of a road along x
BUS = Body(10.3, 3.2, 4.2, 12_000.0)


@pytest.fixture(scope="module")
def straight() -> RoadMap:
    """A road of 160 m along x, at a height of 3 m."""
    road = xodr.create_road([xodr.Line(160.0)], 0, left_lanes=1, right_lanes=1, lane_width=3.5)
    road.add_elevation(0.0, 3.0, 0.0, 0.0, 0.0)
    document = xodr.OpenDrive("straight")
    document.add_road(road)
    document.adjust_roads_and_lanes()
    text = ElementTree.tostring(document.get_element(), encoding="unicode")
    return RoadMap(text, "straight")


@pytest.fixture
def scene(straight: RoadMap) -> Scene:
    return Scene(straight)


def at(x_m: float, y_m: float = Y_M, yaw_rad: float = 0.0, z_m: float = 3.0) -> Pose:
    return Pose(x_m, y_m, yaw_rad, z_m)


def steps(scene: Scene, count: int) -> list[Collision]:
    return [collision for _ in range(count) for collision in scene.step(STEP_S)]


def until_collision(scene: Scene) -> list[Collision]:
    for _ in range(200):
        collisions = scene.step(STEP_S)
        if collisions:
            return collisions
    pytest.fail("nothing collided")


def momentum(scene: Scene) -> list[float]:
    """(2,) of all cars, along the map's x and y."""
    moving = [(car.body.mass_kg, car.map_velocity()) for car in scene.cars.values()]
    return [sum(mass_kg * velocity[axis] for mass_kg, velocity in moving) for axis in (0, 1)]


def test_each_car_drives_by_its_own_command_as_if_alone(scene: Scene) -> None:
    commands = {7: Control(0.8, 0.02), 3: Control(0.4, -0.05), 5: Control(0.5, reverse=True)}
    alone = {}
    for row, (actor_id, control) in enumerate(commands.items()):
        scene.add_car(actor_id, at(60.0 + 60.0 * row)).control = control
        alone[actor_id] = Vehicle(at(60.0 + 60.0 * row))
    for _ in range(40):
        assert scene.step(STEP_S) == []
        for actor_id, vehicle in alone.items():
            vehicle.step(commands[actor_id], STEP_S)
            assert scene.cars[actor_id].vehicle.state == vehicle.state
    assert [*scene.cars] == [7, 3, 5]
    assert scene.bodies().actor_ids.tolist() == [7, 3, 5]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("body", [MODEL_3, BUS], ids=["car", "bus"])
def test_two_cars_share_their_momentum_once(scene: Scene, body: Body, first: bool) -> None:
    """A car at 12 m/s into the back of one that stands: both then have one speed."""
    order = ((1, at(50.0), MODEL_3), (2, at(62.0), body))
    for actor_id, pose, its_body in order if first else order[::-1]:
        scene.add_car(actor_id, pose, its_body)
    scene.cars[1].vehicle.set_velocity(12.0, 0.0, 0.0)
    speed_mps = 12.0
    while not (collisions := scene.step(STEP_S)):
        speed_mps = scene.cars[1].vehicle.state.speed_mps
    gap_m = scene.cars[2].pose.x_m - scene.cars[1].pose.x_m
    assert gap_m == pytest.approx((LENGTH_M + body.length_m) / 2.0, abs=1e-6)
    by_id = {collision.actor_id: collision for collision in collisions}
    assert {i: c.other_actor_id for i, c in by_id.items()} == {1: 2, 2: 1}
    expected = speed_mps * MASS_KG * body.mass_kg / (MASS_KG + body.mass_kg)
    assert by_id[2].impulse == pytest.approx((expected, 0.0, 0.0), rel=0.02, abs=1e-6)
    assert np.add(by_id[1].impulse, by_id[2].impulse).tolist() == [0.0, 0.0, 0.0]
    speeds = [scene.cars[i].vehicle.state.speed_mps for i in (1, 2)]
    assert speeds[0] == pytest.approx(speeds[1])
    assert speeds[1] == pytest.approx(expected / body.mass_kg, rel=0.02)
    for collision in steps(scene, 20):
        assert math.hypot(*collision.impulse) < 0.05 * expected, "they only lean on each other"


def test_who_is_hit_from_the_side_slides(scene: Scene) -> None:
    """Momentum is kept although wheels do not roll sideways; friction then ends the slide."""
    hit = scene.add_car(1, at(80.0, 0.0, math.pi / 2.0))
    scene.add_car(2, at(70.0, 0.0)).vehicle.set_velocity(10.0, 0.0, 0.0)
    before = momentum(scene)
    while not scene.step(STEP_S):
        before = momentum(scene)
    assert momentum(scene) == pytest.approx(before, rel=0.02)
    assert hit.vehicle.state.lateral_speed_mps == pytest.approx(-5.0, abs=0.3)
    scene.remove(2)
    start_m = hit.pose.x_m
    steps(scene, 40)
    assert hit.map_velocity() == (0.0, 0.0)
    assert hit.pose.x_m - start_m == pytest.approx(25.0 / 2.0 / 7.0, abs=0.3)
    assert hit.pose.yaw_rad == pytest.approx(math.pi / 2.0)


def test_a_longer_body_is_met_earlier_and_needs_more_room(scene: Scene) -> None:
    scene.add_car(1, at(60.0), BUS)
    free_m = (LENGTH_M + BUS.length_m) / 2.0
    with pytest.raises(OccupiedError):
        scene.add_car(2, at(60.0 + free_m - 0.1))
    with pytest.raises(OccupiedError):
        scene.add_car(2, at(80.0, -7.0), BUS)  # its side in the hedge, which a car's is not
    scene.add_car(2, at(80.0, -7.0))
    scene.add_car(3, at(60.0 + free_m + 0.1))
    assert scene.bodies().sizes_m[0].tolist() == [10.3, 3.2, 4.2]


def test_what_is_removed_is_gone(scene: Scene) -> None:
    driving = scene.add_car(1, at(50.0))
    driving.constant_velocity_mps = (10.0, 0.0)
    scene.add_car(2, at(60.0))
    scene.add_walker(3, at(70.0))
    scene.add_prop(4, at(80.0), (0.5, 0.5, 1.0))
    assert {c.actor_id for c in until_collision(scene)} == {1, 2}
    assert [scene.remove(actor_id) for actor_id in (2, 3, 4)] == [True] * 3
    assert steps(scene, 80) == []
    assert driving.pose.x_m > 85.0
    assert not scene.remove(2)
    scene.add_car(2, at(60.0))
    assert scene.remove(1)
    assert steps(scene, 5) == []
    assert [*scene.cars] == [2]


def test_a_car_that_is_put_above_the_ground_falls(scene: Scene) -> None:
    car = scene.add_car(1, at(50.0, z_m=4.0))
    car.control = Control(throttle=1.0)
    assert (car.pose.z_m, car.ground.z_m) == (4.0, 3.0)
    falling = 0
    while car.airborne:
        speed_mps = car.vertical_speed_mps
        scene.step(STEP_S)
        falling += 1
        assert car.vehicle.state.speed_mps == 0.0, "wheels in the air drive nothing"
    assert falling * STEP_S == pytest.approx(math.sqrt(2.0 / GRAVITY_MPS2), abs=0.06)
    assert speed_mps == pytest.approx(-math.sqrt(2.0 * GRAVITY_MPS2), abs=0.6)
    assert (car.pose.z_m, car.vertical_speed_mps) == (3.0, 0.0)
    steps(scene, 10)
    assert car.vehicle.state.speed_mps > 0.5
    car.place(at(70.0, z_m=-20.0))
    assert (car.pose, car.airborne) == (at(70.0), False), "nobody is below the ground"


def test_bodies_above_each_other_do_not_meet(scene: Scene) -> None:
    scene.add_car(1, at(50.0))
    scene.add_prop(3, at(90.0, z_m=6.0), (1.0, 7.0, 1.0))
    below = scene.add_car(4, at(80.0))
    below.constant_velocity_mps = (10.0, 0.0)
    above = scene.add_car(2, at(50.0, z_m=6.0))
    assert steps(scene, 3) == []
    assert above.airborne
    steps(scene, 60)
    assert below.pose.x_m > 100.0, "under the gantry"
    assert not above.airborne
    assert penetration(above.footprint(), scene.cars[1].footprint()) is None, "it came down"


def test_a_constant_velocity_is_kept_whatever_the_pedals_say(scene: Scene) -> None:
    car = scene.add_car(1, at(50.0))
    car.constant_velocity_mps = (6.0, 0.0)
    car.control = FULL_BRAKE
    steps(scene, 40)
    assert car.pose.x_m == pytest.approx(50.0 + 6.0 * 2.0, abs=0.1)
    assert car.vehicle.state.speed_mps == 6.0
    car.constant_velocity_mps = None
    steps(scene, 40)
    assert car.vehicle.state.speed_mps == 0.0


def test_without_physics_a_car_stands_and_is_solid(scene: Scene) -> None:
    still = scene.add_car(1, at(60.0, z_m=3.4))
    still.simulate_physics = False
    still.control = Control(throttle=1.0)
    still.vehicle.set_velocity(5.0, 0.0, 0.0)
    driving = scene.add_car(2, at(50.0))
    driving.vehicle.set_velocity(10.0, 0.0, 0.0)
    collisions = until_collision(scene)
    assert {c.actor_id for c in collisions} == {1, 2}
    assert still.pose == at(60.0, z_m=3.4)
    assert still.map_velocity() == (0.0, 0.0)
    assert driving.vehicle.state.speed_mps == pytest.approx(0.0, abs=1e-9)
    still.simulate_physics = True
    steps(scene, 20)
    assert still.pose.z_m == 3.0
    assert still.vehicle.state.speed_mps > 1.0


@pytest.mark.parametrize("who", ["car", "prop", "driving"])
def test_what_does_not_collide_is_passed_through(scene: Scene, who: str) -> None:
    driving = scene.add_car(1, at(50.0))
    driving.constant_velocity_mps = (10.0, 0.0)
    passed = scene.add_car(2, at(60.0)) if who == "car" else None
    other = passed or scene.add_prop(2, at(60.0), (1.0, 1.0, 1.0))
    (driving if who == "driving" else other).collides = False
    assert steps(scene, 50) == []
    assert driving.pose.x_m > 70.0
    driving.place(at(55.0))
    driving.collides = other.collides = True
    assert until_collision(scene)


def test_a_prop_stops_a_car_and_stays(scene: Scene) -> None:
    prop = scene.add_prop(9, at(60.0), (0.6, 0.8, 1.0))
    car = scene.add_car(1, at(50.0))
    car.vehicle.set_velocity(8.0, 0.0, 0.0)
    speed_mps = 8.0
    while not (collisions := scene.step(STEP_S)):
        speed_mps = car.vehicle.state.speed_mps
    told = {c.actor_id: c for c in collisions}
    assert told[1].other_actor_id == 9
    assert told[1].impulse[0] == pytest.approx(-speed_mps * MASS_KG, rel=0.02)
    assert prop.pose == at(60.0)
    assert car.pose.x_m == pytest.approx(60.0 - 0.3 - LENGTH_M / 2.0)
    prop.pose = at(100.0)
    car.control = Control(throttle=0.5)
    assert steps(scene, 30) == []


def test_a_walker_walks_as_told_on_the_ground(scene: Scene) -> None:
    walker = scene.add_walker(1, at(50.0, -5.0, z_m=4.0))
    assert walker.pose == at(50.0, -5.0)
    steps(scene, 5)
    assert walker.pose == at(50.0, -5.0)
    walker.velocity_mps = (0.0, 1.4)
    steps(scene, 20)
    assert (walker.pose.x_m, walker.pose.y_m) == pytest.approx((50.0, -3.6))
    assert walker.pose.yaw_rad == pytest.approx(math.pi / 2.0)
    assert walker.pose.z_m == 3.0


def test_a_walker_who_is_run_over_is_pushed_along_and_walks_on(scene: Scene) -> None:
    car = scene.add_car(1, at(50.0))
    car.vehicle.set_velocity(8.0, 0.0, 0.0)
    walker = scene.add_walker(2, at(58.0))
    walker.velocity_mps = (0.0, 0.01)
    told = {c.actor_id: c for c in until_collision(scene)}
    assert (told[1].other_actor_id, told[2].other_actor_id) == (2, 1)
    assert np.add(told[1].impulse, told[2].impulse).tolist() == [0.0, 0.0, 0.0]
    share = MASS_KG * WALKER_KG / (MASS_KG + WALKER_KG)
    assert told[2].impulse[0] == pytest.approx(8.0 * share, rel=0.1)
    assert walker.map_velocity()[0] == pytest.approx(car.vehicle.state.speed_mps)
    car.control = FULL_BRAKE
    steps(scene, 40)
    assert walker.pose.x_m > 59.0
    assert walker.map_velocity() == walker.velocity_mps == (0.0, 0.01), "led again"


def test_a_walker_does_not_walk_through_cars(scene: Scene) -> None:
    car = scene.add_car(1, at(60.0))
    walker = scene.add_walker(2, at(60.0, -5.0))
    walker.velocity_mps = (0.0, 1.5)
    told = {c.actor_id for c in until_collision(scene)}
    assert told == {1, 2}
    steps(scene, 100)
    assert walker.pose.y_m < car.pose.y_m - MODEL_3.width_m / 2.0
    assert car.pose.y_m == pytest.approx(Y_M, abs=0.05), "nobody pushes a car aside"


def test_nothing_is_put_where_something_stands(scene: Scene) -> None:
    scene.add_car(1, at(60.0))
    scene.add_walker(2, at(70.0))
    scene.add_prop(3, at(80.0), (1.0, 1.0, 1.0))
    for x_m in (60.5, 70.0, 80.0):
        with pytest.raises(OccupiedError, match=r"m: something stands there"):
            scene.add_car(4, at(x_m))
        with pytest.raises(OccupiedError):
            scene.add_walker(4, at(x_m))
    with pytest.raises(OccupiedError):
        scene.add_car(4, at(90.0, -9.0))  # in the hedge
    scene.cars[1].collides = False
    scene.add_car(4, at(60.5))


def test_bad_input_is_refused_in_one_line(scene: Scene) -> None:
    car = scene.add_car(1, at(60.0))
    walker = scene.add_walker(RESERVED_IDS.stop, at(70.0))
    for actor_id in (0, -1, 1000, 2003, 20_000):
        with pytest.raises(ValueError, match=rf"actor id {actor_id}; expected 1 to 999 or 10000"):
            scene.add_prop(actor_id, at(80.0), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="actor id 1 is taken"):
        scene.add_walker(1, at(80.0))
    with pytest.raises(PoseError, match="nan"):
        scene.add_car(2, at(math.nan))
    with pytest.raises(PoseError, match="inf"):
        car.place(at(math.inf))
    with pytest.raises(PoseError, match="nan"):
        walker.velocity_mps = (math.nan, 0.0)
    with pytest.raises(ControlError, match="nan"):
        car.control = Control(steer=math.nan)
    assert steps(scene, 2) == []


def test_bodies_and_solids_leave_out_who_looks(scene: Scene) -> None:
    assert scene.solids() is None
    scene.add_car(1, at(60.0))
    assert scene.solids((1,)) is None
    scene.add_prop(2, at(70.0), (2.0, 1.0, 1.0))
    scene.add_walker(3, at(80.0))
    everybody, others = scene.bodies(), scene.bodies((1,))
    assert everybody.actor_ids.tolist() == [1, 3, 2]
    assert others.actor_ids.tolist() == [3, 2]
    shapes = scene.solids((1,))
    assert shapes is not None
    assert shapes.centers.tolist() == [[80.0, Y_M], [70.0, Y_M]]
    assert (shapes.owners == 1).sum() == 5, "a prop is a plain box"
    assert {*shapes.tags.tolist()} == {SemanticClass.PEDESTRIANS, SemanticClass.STATIC}
    assert shapes.faces[shapes.owners == 1][..., 2].max() == 1.0
    scene.add_car(4, at(90.0), replace(BUS, semantic_class=SemanticClass.BUS))
    shapes = scene.solids((1, 2, 3))
    assert shapes is not None
    assert {*shapes.tags.tolist()} - {SHADE_TAG} == {SemanticClass.BUS}


def test_a_car_that_stands_is_not_computed_anew(scene: Scene) -> None:
    """And still feels whatever is done to it."""
    car = scene.add_car(1, at(60.0))
    assert not car.rests
    steps(scene, 2)
    assert car.rests
    car.control = Control(throttle=0.5)
    steps(scene, 10)
    assert not car.rests
    assert car.vehicle.state.speed_mps > 0.5
    car.control = FULL_BRAKE
    steps(scene, 200)
    assert car.rests
    touches: list[Callable[[], None]] = [
        lambda: car.place(at(50.0)),
        lambda: car.vehicle.set_velocity(1.0, 0.0, 0.0),
        lambda: car.push(np.array([0.0, 5000.0])),
    ]
    for touch in touches:
        touch()
        assert not car.rests
        steps(scene, 100)
        assert car.rests


def test_a_simulation_is_a_scene_with_one_car(loop: RoadMap) -> None:
    simulation = Simulation(WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),)), loop)
    scene = Scene(loop)
    car = scene.add_car(1, simulation.spawn_pose(0))
    rng = np.random.default_rng(0)
    told = []
    for _ in range(200):
        car.control = Control(rng.uniform(0.2, 0.8), rng.uniform(-0.2, 0.25))
        tick = simulation.step(car.control)
        collisions = scene.step(STEP_S)
        told += collisions
        assert tuple(collisions) == tick.collisions
        assert car.pose == tick.ego.pose
        assert car.vehicle.state.acceleration_mps2 == tick.acceleration_map
    assert told, "it ended in the hedge"
    assert {collision.other_actor_id for collision in told} == {0}


def poses(bodies: Bodies) -> bytes:
    return b"".join(column.tobytes() for column in (bodies.actor_ids, bodies.poses))


@pytest.mark.parametrize(("camera_x_m", "seen"), [(-6.0, True), (-2.0, False), (1.6, False)])
def test_a_camera_behind_the_car_sees_it(
    loop: RoadMap, camera_x_m: float, seen: bool
) -> None:
    camera = CameraConfig(x_m=camera_x_m, z_m=2.5)
    config = WorldConfig(cameras=(camera,))
    tick = Simulation(config, loop).step(FULL_BRAKE)
    empty = Camera(camera).render(Surface(loop, config.seed), tick.ego.pose)
    assert np.array_equal(tick.image, empty) is not seen


def test_a_town_without_cars_lives(loop: RoadMap) -> None:
    one, same, another = (
        Scene(loop, seed, traffic=15, pedestrians=5) for seed in (1, 1, 2)
    )
    before = one.bodies()
    assert len(before.actor_ids) == 20
    assert poses(before) == poses(same.bodies()) != poses(another.bodies())
    assert steps(one, 40) == steps(same, 40) == []
    assert poses(one.bodies()) == poses(same.bodies()) != poses(before)


def hash_of_a_day(road_map: RoadMap) -> str:
    """Cars, walkers and a prop come, collide and go among traffic."""
    scene = Scene(road_map, 3, traffic=10, pedestrians=5)
    rng = np.random.default_rng(5)
    digest, told = hashlib.sha256(), 0
    for step in range(100):
        pose = scene.spawn_poses[int(rng.integers(len(scene.spawn_poses)))]
        try:
            if step % 12 == 4:
                scene.add_walker(1 + step, pose).velocity_mps = (0.8, -0.9)
            elif step % 4 == 0:
                scene.add_car(1 + step, pose, BUS if step % 8 else MODEL_3)
        except OccupiedError as error:
            digest.update(repr(error).encode())
        if step % 40 == 39:
            scene.remove(int(rng.choice([*scene.cars])))
            scene.add_prop(1 + step, pose, (0.5, 2.0, 1.0))
        for car in scene.cars.values():
            car.control = Control(rng.uniform(0.3, 1.0), rng.uniform(-0.2, 0.2))
        collisions = scene.step(STEP_S)
        told += len(collisions)
        digest.update(repr(collisions).encode() + poses(scene.bodies()))
    assert told > 10
    return digest.hexdigest()


def test_the_same_calls_give_the_same_bytes(loop: RoadMap) -> None:
    assert hash_of_a_day(loop) == hash_of_a_day(loop)


def test_traffic_heeds_every_car_walker_and_prop(loop: RoadMap) -> None:
    """Whoever stands on a lane has somebody waiting behind, and is not run into."""
    scene = Scene(loop, 1, traffic=20)
    places = [scene.spawn_poses[index] for index in (10, 70, 130)]
    scene.others.restart(places, np.random.default_rng(0))  # makes room
    scene.add_car(1, places[0])
    scene.add_walker(2, places[1])
    scene.add_prop(3, places[2], (1.0, 1.0, 1.0))
    scene.place_others(np.random.default_rng(1))
    assert steps(scene, 500) == []
    others = scene.others.bodies()
    standing = others.poses[np.hypot(*others.velocities_mps.T) < 0.1, :2]
    for place in places:
        apart_m = np.hypot(*(standing - (place.x_m, place.y_m)).T)
        assert apart_m.min() < 8.0, "somebody waits behind it"


def test_a_walker_is_hit_by_the_worlds_own_traffic_too(loop: RoadMap) -> None:
    scene = Scene(loop, 1, traffic=20)
    steps(scene, 60)
    others = scene.others.bodies()
    fastest = int(np.hypot(*others.velocities_mps.T).argmax())
    ahead = others.poses[fastest, :2] + 3.5 * np.array(
        [math.cos(others.poses[fastest, 2]), math.sin(others.poses[fastest, 2])]
    )
    walker = scene.add_walker(1, Pose(float(ahead[0]), float(ahead[1]), 0.0))
    [collision] = until_collision(scene)
    assert collision.actor_id == 1
    assert collision.other_actor_id == others.actor_ids[fastest]
    away = np.array(walker.map_velocity()) @ others.velocities_mps[fastest]
    assert away > 0.0, "thrown ahead"
