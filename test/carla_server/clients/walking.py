# SPDX-License-Identifier: Apache-2.0
"""Pedestrians."""

from __future__ import annotations

from typing import Any

import carla

from .town import (
    STEP_S,
    Heard,
    attached,
    heard_at_once,
    near,
    spawned,
    straight_place,
    synchronous,
    ticked,
)


def led(client: Any) -> None:
    """A pedestrian walks where and as fast as it is told."""
    with synchronous(client) as world:
        place = straight_place(world)
        walker = spawned(world, "walker.pedestrian.0004", place)
        ticked(world, 20)
        before = walker.get_location()
        waypoint = world.get_map().get_waypoint(place.location)
        ground_m = waypoint.transform.location.z
        assert abs(before.z - walker.bounding_box.extent.z - ground_m) < 0.1
        along = place.get_right_vector()
        walker.apply_control(carla.WalkerControl(along, 1.5))
        ticked(world, 20)
        gone = walker.get_location() - before
        assert abs(gone.dot(along) - 1.5 * 20 * STEP_S) < 0.1
        assert abs(gone.dot(place.get_forward_vector())) < 0.05
        assert near(walker.get_velocity(), along * 1.5, 0.05)
        control = walker.get_control()
        assert abs(control.speed - 1.5) < 1e-6
        assert near(control.direction, along)
        walker.apply_control(carla.WalkerControl(along, 0.0))
        ticked(world, 2)
        before = walker.get_location()
        ticked(world, 5)
        assert near(walker.get_location(), before)
        elsewhere = world.get_map().get_spawn_points()[0]
        walker.set_transform(elsewhere)
        ticked(world, 2)
        assert walker.get_location().distance(elsewhere.location) < 1.2
        assert walker.destroy()


def by_itself(client: Any) -> None:
    """A walk's way is found by the client in a mesh; there is none, and the walker stays."""
    with synchronous(client) as world:
        assert world.get_random_location_from_navigation() is None
        walker = spawned(world, "walker.pedestrian.0004", straight_place(world))
        controller = attached(world, "controller.ai.walker", walker)
        ticked(world, 20)
        before = walker.get_location()
        controller.start()
        controller.go_to_location(world.get_map().get_spawn_points()[0].location)
        controller.set_max_speed(1.4)
        ticked(world, 20)
        assert near(walker.get_location(), before)
        controller.stop()
        assert controller.destroy()
        assert walker.destroy()


def run_over(client: Any) -> None:
    """A car hits a pedestrian: both are told of it."""
    with synchronous(client) as world:
        place = straight_place(world)
        there = place.transform(carla.Location(12.0, 0.0, 0.0))
        car = spawned(world, "vehicle.tesla.model3", place)
        walker = spawned(world, "walker.pedestrian.0004", carla.Transform(there, place.rotation))
        ticked(world, 20)
        sensors = [attached(world, "sensor.other.collision", actor) for actor in (car, walker)]
        heard = [Heard(world, sensor) for sensor in sensors]
        ahead = place.get_forward_vector()

        def crash() -> None:
            car.set_transform(place)
            walker.set_transform(carla.Transform(there, place.rotation))
            car.set_target_velocity(ahead * 8.0)
            ticked(world, 40)

        pushed, hit = heard_at_once(crash, *heard)
        assert (pushed.actor.id, pushed.other_actor.id) == (car.id, walker.id)
        assert (hit.actor.id, hit.other_actor.id) == (walker.id, car.id)
        assert pushed.normal_impulse.dot(ahead) < 0.0
        assert hit.normal_impulse.dot(ahead) > 0.0
