# SPDX-License-Identifier: Apache-2.0
"""Vehicles: what they are commanded, what is read of them, CARLA's left-handed axes and units."""

from __future__ import annotations

import math
from typing import Any

import carla

from .town import STEP_S, near, spawned, straight_place, synchronous, ticked

GRAVITY_MPS2 = 9.81


def controls(client: Any) -> None:
    """A command holds until the next; velocities and accelerations are in the map's axes."""
    with synchronous(client) as world:
        place = straight_place(world)
        car = spawned(world, "vehicle.tesla.model3", place)
        ticked(world, 20)
        ahead = car.get_transform().get_forward_vector()
        car.apply_control(carla.VehicleControl(throttle=0.6))
        for _ in range(40):
            before = car.get_velocity(), car.get_location()
            world.tick()
            gained = (car.get_velocity() - before[0]) / STEP_S
            assert near(car.get_acceleration(), gained, 0.05)
            gone = (car.get_location() - before[1]) / STEP_S
            assert near(gone, car.get_velocity(), 0.3)
        speed_mps = car.get_velocity().length()
        assert speed_mps > 2.0
        assert car.get_velocity().dot(ahead) > 0.99 * speed_mps
        assert car.get_acceleration().dot(ahead) > 0.2
        assert abs(car.get_control().throttle - 0.6) < 1e-6
        read = world.get_snapshot().find(car.id)
        assert near(read.get_velocity(), car.get_velocity())
        assert near(read.get_transform().location, car.get_location())
        car.apply_control(carla.VehicleControl(brake=1.0))
        ticked(world, 5)
        assert car.get_acceleration().dot(ahead) < -2.0
        ticked(world, 60)
        assert car.get_velocity().length() < 0.1
        car.apply_control(carla.VehicleControl(throttle=0.6, reverse=True))
        ticked(world, 20)
        assert car.get_velocity().dot(ahead) < -0.3
        assert car.get_control().reverse
        car.apply_control(carla.VehicleControl(throttle=0.6, hand_brake=True))
        ticked(world, 60)
        assert car.get_velocity().length() < 0.1
        assert car.get_control().hand_brake
        telemetry = car.get_telemetry_data()
        assert abs(telemetry.speed) < 0.5
        assert len(telemetry.wheels) == 4


def turning(client: Any) -> None:
    """To the right is positive: steer, yaw, and its rate in degrees per second."""
    with synchronous(client) as world:
        for steer in (0.15, -0.15):
            car = spawned(world, "vehicle.tesla.model3", straight_place(world))
            car.apply_control(carla.VehicleControl(throttle=0.5))
            ticked(world, 30)
            car.apply_control(carla.VehicleControl(throttle=0.3, steer=steer))
            ticked(world, 5)
            before = car.get_transform().rotation.yaw
            rates = []
            for _ in range(5):
                world.tick()
                rates.append(car.get_angular_velocity().z)
            turned = math.remainder(car.get_transform().rotation.yaw - before, 360.0)
            assert turned * steer > 0.0
            mean_rate = sum(rates) / len(rates)
            assert abs(turned - mean_rate * 5 * STEP_S) < 0.2 * abs(turned)
            assert abs(mean_rate) > 2.0
            right = car.get_transform().get_right_vector()
            assert car.get_acceleration().dot(right) * steer > 0.0
            wheel = carla.VehicleWheelLocation.FL_Wheel
            assert car.get_wheel_steer_angle(wheel) * steer > 0.0
            assert abs(car.get_wheel_steer_angle(wheel)) > 2.0  # degrees
            car.destroy()
            world.tick()


def given_velocities(client: Any) -> None:
    with synchronous(client) as world:
        place = straight_place(world)
        car = spawned(world, "vehicle.tesla.model3", place)
        ticked(world, 20)
        ahead = car.get_transform().get_forward_vector()
        car.set_target_velocity(ahead * 8.0)
        world.tick()
        assert abs(car.get_velocity().dot(ahead) - 8.0) < 0.3
        car.enable_constant_velocity(carla.Vector3D(5.0, 0.0, 0.0))  # in its own axes
        car.apply_control(carla.VehicleControl(brake=1.0))
        ticked(world, 10)
        assert abs(car.get_velocity().dot(car.get_transform().get_forward_vector()) - 5.0) < 0.05
        car.disable_constant_velocity()
        ticked(world, 40)
        assert car.get_velocity().length() < 0.1
        car.apply_control(carla.VehicleControl())
        car.add_impulse(ahead * (car.get_physics_control().mass * 3.0))
        world.tick()
        assert 2.0 < car.get_velocity().dot(ahead) < 3.05  # the brakes let go meanwhile
        car.set_target_velocity(ahead * 10.0)
        before = car.get_transform().rotation.yaw
        car.set_target_angular_velocity(carla.Vector3D(0.0, 0.0, 40.0))
        world.tick()
        assert math.remainder(car.get_transform().rotation.yaw - before, 360.0) > 0.5


def put_somewhere(client: Any) -> None:
    """A car that is put somewhere keeps its velocity; one without physics stays where it is."""
    with synchronous(client) as world:
        place, other = straight_place(world), world.get_map().get_spawn_points()[0]
        car = spawned(world, "vehicle.tesla.model3", place)
        ticked(world, 20)
        car.set_target_velocity(place.get_forward_vector() * 6.0)
        world.tick()
        car.set_transform(other)
        world.tick()
        assert car.get_location().distance(other.location) < 1.0
        assert abs(car.get_velocity().length() - 6.0) < 0.5
        turned = math.remainder(car.get_transform().rotation.yaw - other.rotation.yaw, 360.0)
        assert abs(turned) < 5.0
        yaw = car.get_transform().rotation.yaw
        car.set_target_velocity(carla.Vector3D())
        car.set_location(place.location)
        world.tick()
        assert car.get_location().distance(place.location) < 1.0
        assert abs(math.remainder(car.get_transform().rotation.yaw - yaw, 360.0)) < 1.0
        car.set_transform(place)
        car.set_simulate_physics(False)
        car.apply_control(carla.VehicleControl(throttle=1.0))
        ticked(world, 20)
        assert near(car.get_location(), place.location, 1e-3)  # above the ground, too
        assert car.get_velocity().length() == 0.0
        car.set_simulate_physics(True)
        ticked(world, 40)
        assert car.get_velocity().length() > 1.0
        assert car.get_location().z < place.location.z


def physics_control(client: Any) -> None:
    """What is read can be given back, as clients do that change one value of it."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3", straight_place(world))
        ticked(world, 30)
        read = car.get_physics_control()
        assert 1000.0 < read.mass < 3000.0
        assert read.max_rpm > 1000.0
        assert len(read.wheels) == 4
        assert len(read.forward_gears) >= 1
        assert len(read.torque_curve) >= 2
        place = car.get_transform()
        box = car.bounding_box.extent
        sides = set()
        for wheel in read.wheels:
            assert 20.0 < wheel.radius < 60.0  # cm
            away = wheel.position / 100.0 - place.location
            ahead = away.dot(place.get_forward_vector())
            right = away.dot(place.get_right_vector())
            assert 0.5 < abs(ahead) < box.x
            assert 0.5 < abs(right) <= box.y + 0.1
            sides.add((ahead > 0.0, right > 0.0))
        assert len(sides) == 4
        assert [wheel.max_steer_angle > 0.0 for wheel in read.wheels[:2]] == [True, True]
        car.apply_physics_control(read)
        world.tick()
        assert car.get_physics_control() == read


def falling(client: Any) -> None:
    """Clients spawn cars half a metre above the lane."""
    with synchronous(client) as world:
        place = straight_place(world)
        ground_m = world.get_map().get_waypoint(place.location).transform.location.z
        place.location.z = ground_m + 1.0
        car = spawned(world, "vehicle.tesla.model3", place)
        world.tick()
        heights = []
        for _ in range(40):
            heights.append(car.get_location().z)
            world.tick()
        assert heights[0] > ground_m + 0.9
        assert heights == sorted(heights, reverse=True)
        assert abs(heights[-1] - ground_m) < 0.05
        fall_s = STEP_S * sum(height > ground_m + 0.05 for height in heights)
        assert abs(fall_s - math.sqrt(2.0 / GRAVITY_MPS2)) < 0.15
        assert car.get_location().distance(place.location) < 1.1
