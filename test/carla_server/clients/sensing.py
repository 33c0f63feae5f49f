# SPDX-License-Identifier: Apache-2.0
"""Sensors without pictures."""

from __future__ import annotations

import math
import queue
from typing import Any

import carla

from .town import (
    PATIENCE_S,
    Heard,
    attached,
    heard_at_once,
    near,
    raises,
    spawned,
    straight_place,
    synchronous,
    ticked,
)

GRAVITY_MPS2 = 9.81
NOT_SIMULATED = (
    "sensor.lidar.ray_cast sensor.lidar.ray_cast_semantic sensor.other.radar sensor.other.rss "
    "sensor.camera.dvs sensor.camera.optical_flow sensor.camera.normals "
    "sensor.camera.instance_segmentation sensor.other.v2x"
)


def imu(client: Any) -> None:
    """In the sensor's axes: it feels gravity's support, gains, turns; compass 0 to the north."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3", straight_place(world))
        car.apply_control(carla.VehicleControl(brake=1.0))
        ticked(world, 30)
        heard = Heard(world, attached(world, "sensor.other.imu", car))
        heard.until_there()
        rest = heard.of_next_tick()
        assert near(rest.accelerometer, carla.Vector3D(0.0, 0.0, GRAVITY_MPS2), 0.05)
        assert rest.gyroscope.length() < 0.01
        yaw_rad = math.radians(car.get_transform().rotation.yaw)
        assert abs(math.remainder(rest.compass - yaw_rad - math.pi / 2.0, 2.0 * math.pi)) < 1e-3
        lying = carla.Transform(carla.Location(), carla.Rotation(roll=90.0))
        side = Heard(world, attached(world, "sensor.other.imu", car, lying))
        side.until_there()
        felt = side.of_next_tick().accelerometer
        up = carla.Vector3D(0.0, 0.0, GRAVITY_MPS2)
        expected = [lying.get_right_vector().dot(up), lying.get_up_vector().dot(up)]
        assert abs(felt.y - expected[0]) < 0.05
        assert abs(felt.z - expected[1]) < 0.05
        car.apply_control(carla.VehicleControl(throttle=0.7))
        ticked(world, 5)
        assert heard.of_next_tick().accelerometer.x > 0.3
        ticked(world, 25)
        car.apply_control(carla.VehicleControl(throttle=0.3, steer=0.15))
        ticked(world, 5)
        right = heard.of_next_tick()
        assert right.gyroscope.z > 0.05
        assert right.accelerometer.y > 0.2
        told = math.radians(car.get_angular_velocity().z)
        assert abs(right.gyroscope.z - told) < 1e-3
        noisy = attached(
            world, "sensor.other.imu", car, noise_accel_stddev_x=5.0, noise_gyro_bias_z=1.0
        )
        other = Heard(world, noisy)
        other.until_there()
        biased = other.of_next_tick()
        exact = heard.of_frame(biased.frame)
        assert abs(biased.gyroscope.z - exact.gyroscope.z - 1.0) < 1e-3
        assert biased.accelerometer.x != exact.accelerometer.x


def gnss(client: Any) -> None:
    """The same place on Earth as the client's own map gives."""
    with synchronous(client) as world:
        roads = world.get_map()
        for place in roads.get_spawn_points()[::7]:
            car = spawned(world, "vehicle.tesla.model3", place)
            mounting = carla.Transform(carla.Location(1.0, 0.5, 2.0))
            sensor = attached(world, "sensor.other.gnss", car, mounting)
            heard = Heard(world, sensor)
            heard.until_there()
            measured = heard.of_next_tick()
            expected = roads.transform_to_geolocation(sensor.get_location())
            assert abs(measured.latitude - expected.latitude) < 1e-8
            assert abs(measured.longitude - expected.longitude) < 1e-8
            assert abs(measured.altitude - expected.altitude) < 1e-3
            sensor.destroy()
            car.destroy()


def collision(client: Any) -> None:
    """Both are told, with opposite impulses; then something without an actor of its own."""
    with synchronous(client) as world:
        place = straight_place(world)
        ahead = place.get_forward_vector()
        there = place.transform(carla.Location(10.0, 0.0, 0.0))
        car = spawned(world, "vehicle.tesla.model3", place)
        there = carla.Transform(there, place.rotation)
        other = spawned(world, "vehicle.carlamotors.carlacola", there)
        ticked(world, 20)
        heard, told = (
            Heard(world, attached(world, "sensor.other.collision", actor))
            for actor in (car, other)
        )

        def crash() -> None:
            car.set_transform(place)
            other.set_transform(there)
            car.set_target_velocity(ahead * 8.0)
            other.set_target_velocity(carla.Vector3D())
            ticked(world, 30)

        event, opposite = heard_at_once(crash, heard, told)
        assert (event.actor.id, event.other_actor.id) == (car.id, other.id)
        assert event.other_actor.type_id == "vehicle.carlamotors.carlacola"
        assert (opposite.actor.id, opposite.other_actor.id) == (other.id, car.id)
        assert event.normal_impulse.dot(ahead) < -100.0
        assert opposite.frame == event.frame
        assert near(event.normal_impulse, opposite.normal_impulse * -1.0, 1.0)
        right = carla.Rotation(yaw=place.rotation.yaw + 90.0)
        car.set_transform(carla.Transform(place.location, right))
        car.set_target_velocity(carla.Vector3D())
        car.apply_control(carla.VehicleControl(throttle=0.8))
        for _ in range(100):  # until it is at the hedge beside the road
            event = heard.until_there()
            if event.other_actor.id != other.id:
                break
        assert event.actor.id == car.id
        assert event.other_actor.type_id == "static.vegetation"
        assert event.normal_impulse.dot(place.get_right_vector()) < 0.0


def obstacle(client: Any) -> None:
    """From the sensor to what is ahead; whether it moves or not is the client's choice."""
    with synchronous(client) as world:
        place = straight_place(world)
        car = spawned(world, "vehicle.tesla.model3", place)
        car.apply_control(carla.VehicleControl(brake=1.0))
        there = place.transform(carla.Location(10.0, 0.0, 0.0))
        other = spawned(world, "vehicle.tesla.model3", carla.Transform(there, place.rotation))
        other.apply_control(carla.VehicleControl(brake=1.0))
        ticked(world, 30)
        mounting = carla.Transform(carla.Location(2.0, 0.0, 0.7))
        for dynamics in (False, True):
            sensor = attached(
                world, "sensor.other.obstacle", car, mounting, distance=20.0,
                only_dynamics=dynamics,
            )  # fmt: skip
            heard = Heard(world, sensor)
            event = heard.until_there()
            assert event.actor.id == car.id
            assert event.other_actor.id == other.id
            free_m = 10.0 - 2.0 - other.bounding_box.extent.x
            assert abs(event.distance - free_m) < 0.3, (event.distance, free_m)
            sensor.destroy()
        blind = attached(world, "sensor.other.obstacle", car, mounting, distance=3.0)
        heard = Heard(world, blind)
        clock = Heard(world, attached(world, "sensor.other.gnss", car))
        clock.until_there()
        ticked(world, 20)
        assert not heard.by_frame


def lane_invasion(client: Any) -> None:
    """The client finds it by itself, from the states that it hears."""
    with synchronous(client) as world:
        place = straight_place(world)
        place.rotation.yaw -= 30.0  # to the left, over the middle line
        car = spawned(world, "vehicle.tesla.model3", place)
        ticked(world, 20)
        events: queue.Queue[Any] = queue.Queue()
        sensor = attached(world, "sensor.other.lane_invasion", car)
        sensor.listen(events.put)
        car.enable_constant_velocity(carla.Vector3D(4.0, 0.0, 0.0))
        ticked(world, 60)
        event = events.get(timeout=PATIENCE_S)  # whose `actor` the wheel cannot tell
        kinds = {marking.type for marking in event.crossed_lane_markings}
        assert kinds & {carla.LaneMarkingType.Broken, carla.LaneMarkingType.Solid}
        sensor.stop()
        sensor.destroy()


def refused(client: Any) -> None:
    """What is in the library and not simulated is refused by its name."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        for kind in NOT_SIMULATED.split():
            raises(f"{kind}: not simulated", lambda kind=kind: attached(  # type: ignore[misc]
                world, kind, car
            ))  # fmt: skip
        raises("sensor_tick", lambda: attached(world, "sensor.other.imu", car, sensor_tick=-1.0))
