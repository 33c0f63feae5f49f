# SPDX-License-Identifier: Apache-2.0
"""Actors: where they may be, what they are attached to, and how they go."""

from __future__ import annotations

from typing import Any

import carla

from .town import Heard, attached, near, raises, spawned, straight_place, synchronous, ticked

OCCUPIED = "Spawn failed because of collision at spawn position"


def one_place(client: Any) -> None:
    """Two cars have no room in one place; what is told of an actor is what was asked for."""
    with synchronous(client) as world:
        place = world.get_map().get_spawn_points()[0]
        before = {actor.id for actor in world.get_actors()}
        car = spawned(world, "vehicle.audi.tt", place, role_name="hero", color="1,2,3")
        assert car.id not in before
        assert car.attributes["role_name"] == "hero"
        assert car.attributes["color"] == "1,2,3"
        assert car.type_id == "vehicle.audi.tt"
        assert list(car.semantic_tags) == [int(carla.CityObjectLabel.Car)]
        assert car.parent is None
        raises(OCCUPIED, lambda: spawned(world, "vehicle.audi.tt", place))
        library = world.get_blueprint_library()
        assert world.try_spawn_actor(library.find("vehicle.mini.cooper_s"), place) is None
        world.tick()
        assert {actor.id for actor in world.get_actors()} - before == {car.id}
        assert [found.id for found in world.get_actors().filter("vehicle.audi.*")] == [car.id]
        assert world.get_actors([car.id, 7])[0].id == car.id
        assert world.get_actor(car.id).attributes == car.attributes
        assert near(car.get_location(), place.location, 0.6)
        box, extent = car.bounding_box, car.bounding_box.extent
        assert 1.8 < extent.x < 2.5
        assert 0.8 < extent.y < 1.2
        assert abs(box.location.z - extent.z) < 1e-6  # the actor's place is on the ground
        middle = carla.Location(0.0, 0.0, box.location.z)
        car.get_transform().transform(middle)  # in place
        assert box.contains(middle, car.get_transform())
        assert car.destroy()
        assert not car.is_alive
        world.tick()
        assert {actor.id for actor in world.get_actors()} == before
        again = spawned(world, "vehicle.audi.tt", place)
        assert again.id > car.id


def attached_goes_along(client: Any) -> None:
    """What is attached goes along, turned with its parent; moved, it is moved on its parent."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        mounting = carla.Transform(
            carla.Location(1.5, -0.5, 2.0), carla.Rotation(pitch=-10.0, yaw=30.0, roll=5.0)
        )
        sensor = attached(world, "sensor.other.gnss", car, mounting)
        assert sensor.parent.id == car.id
        car.apply_control(carla.VehicleControl(throttle=0.7, steer=0.05))
        for _ in range(40):
            world.tick()
            follows(car, sensor, mounting)
        assert car.get_velocity().length() > 2.0
        mounting = carla.Transform(carla.Location(-2.0, 1.0, 1.0), carla.Rotation(yaw=180.0))
        sensor.set_transform(mounting)
        world.tick()
        follows(car, sensor, mounting)
        mounting.location = carla.Location(3.0, 0.0, 1.0)
        sensor.set_location(mounting.location)
        world.tick()
        follows(car, sensor, mounting)


def follows(car: Any, sensor: Any, mounting: Any) -> None:
    """The client's own geometry says where the sensor has to be."""
    parent, place = car.get_transform(), sensor.get_transform()
    expected = carla.Location(mounting.location.x, mounting.location.y, mounting.location.z)
    parent.transform(expected)
    assert near(place.location, expected, 2e-3), (place, expected)
    ahead = mounting.get_forward_vector()
    parent.transform_vector(ahead)
    assert near(place.get_forward_vector(), ahead, 2e-3)


def destroyed(client: Any) -> None:
    """A sensor that goes is heard no more; one whose parent goes stays where it is."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        gnss, imu = (attached(world, f"sensor.other.{kind}", car) for kind in ("gnss", "imu"))
        heard = Heard(world, gnss)
        other = Heard(world, imu)
        heard.until_there()
        other.until_there()
        assert imu.destroy()
        raises("destroyed actor", imu.destroy)
        assert heard.of_next_tick()
        assert car.destroy()
        message = heard.of_next_tick()
        world.tick()
        assert near(gnss.get_transform().location, message.transform.location)
        assert gnss.is_alive
        assert gnss.destroy()
        ticked(world, 3)
        left = [actor.type_id for actor in world.get_actors()]
        assert not [kind for kind in left if kind.startswith(("vehicle.", "sensor."))]
        raises("destroyed actor", car.destroy)


def in_a_batch(client: Any) -> None:
    """Commands that have answers of their own; what follows a spawn is done with the new actor."""
    with synchronous(client) as world:
        library, places = world.get_blueprint_library(), world.get_map().get_spawn_points()
        model3, command = library.find("vehicle.tesla.model3"), carla.command
        go = carla.VehicleControl(throttle=1.0)
        batch = [
            command.SpawnActor(model3, place).then(
                command.ApplyVehicleControl(command.FutureActor, go)
            )
            for place in (places[0], places[1], places[0])
        ]
        before = world.get_snapshot().frame
        answers = client.apply_batch_sync(batch, True)
        assert [answer.error for answer in answers] == ["", "", OCCUPIED]
        cars = [world.get_actor(answer.actor_id) for answer in answers[:2]]
        assert [car.type_id for car in cars] == ["vehicle.tesla.model3"] * 2
        assert world.get_snapshot().frame == before + 1
        ticked(world, 20)
        assert all(car.get_velocity().length() > 1.0 for car in cars)
        assert all(car.get_control().throttle == 1.0 for car in cars)
        one, other = cars
        sensor = command.SpawnActor(library.find("sensor.other.imu"), carla.Transform(), one)
        answers = client.apply_batch_sync(
            [
                sensor,
                command.ApplyTransform(one, places[2]),
                command.ApplyTargetVelocity(one, carla.Vector3D()),
                command.ApplyVehicleControl(other, carla.VehicleControl(brake=1.0)),
                # With an actor instead of its id the wheel sends True for any light.
                command.SetVehicleLightState(other.id, carla.VehicleLightState.Brake),
                command.SetSimulatePhysics(other, False),
                command.ApplyVehiclePhysicsControl(other, other.get_physics_control()),
                command.ApplyForce(other, carla.Vector3D()),
                command.DestroyActor(1),
            ],
            True,
        )
        assert [answer.has_error() for answer in answers] == [False] * 7 + [True] * 2
        assert world.get_actor(answers[0].actor_id).parent.id == one.id
        assert "ApplyForce" in answers[7].error
        assert "not found" in answers[8].error
        assert near(one.get_location(), places[2].location, 1.0)
        assert other.get_light_state() == carla.VehicleLightState.Brake
        assert other.get_control().brake == 1.0
        gone = [command.DestroyActor(actor) for actor in (one, other)]
        client.apply_batch(gone)
        world.tick()
        assert not world.get_actors().filter("vehicle.*")


def spectator(client: Any) -> None:
    with synchronous(client) as world:
        eye = world.get_spectator()
        place = carla.Transform(carla.Location(3.0, 4.0, 50.0), carla.Rotation(pitch=-89.0))
        eye.set_transform(place)
        world.tick()
        assert near(eye.get_transform().location, place.location)
        assert abs(eye.get_transform().rotation.pitch - -89.0) < 1e-3
        assert world.get_spectator().id == eye.id
        assert not eye.destroy()
        # A camera on it sees what it sees.
        camera = attached(
            world, "sensor.camera.semantic_segmentation", eye, image_size_x=8, image_size_y=8
        )
        image = Heard(world, camera).until_there()
        assert near(image.transform.location, place.location)
        sky = int(carla.CityObjectLabel.Sky)
        assert sky not in set(bytes(image.raw_data)[2::4])
        camera.stop()


def props(client: Any) -> None:
    with synchronous(client) as world:
        place = straight_place(world)
        ahead = place.transform(carla.Location(8.0, 0.0, -0.5))
        there = carla.Transform(carla.Location(ahead.x, ahead.y, ahead.z), place.rotation)
        prop = spawned(world, "static.prop.streetbarrier", there)
        world.tick()
        assert near(prop.get_location(), there.location, 0.6)
        assert prop.bounding_box.extent.length() > 0.3
        car = spawned(world, "vehicle.tesla.model3", place)
        car.apply_control(carla.VehicleControl(throttle=1.0))
        ticked(world, 100)
        gone = car.get_location().distance(place.location)
        assert 3.0 < gone < 8.0, f"it drove {gone} m, through a barrier"
        assert prop.destroy()
