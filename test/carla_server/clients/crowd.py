# SPDX-License-Identifier: Apache-2.0
"""The world's own traffic and pedestrians, as a client sees them."""

from __future__ import annotations

import math
from typing import Any

import carla

from .town import STEP_S, Heard, attached, heard_at_once, near, spawned, synchronous, ticked


def actors(client: Any, vehicles: str, pedestrians: str) -> None:
    """They are actors with boxes that drive on lanes; what is told of them fits together."""
    with synchronous(client) as world:
        world.tick()
        driving = world.get_actors().filter("vehicle.*")
        walking = world.get_actors().filter("walker.pedestrian.*")
        assert (len(driving), len(walking)) == (int(vehicles), int(pedestrians))
        for actor in (*driving, *walking):
            assert actor.attributes["role_name"] == "autopilot"
            assert actor.bounding_box.extent.length() > 0.5
        for actor in driving:
            assert actor.get_physics_control().mass > 1000.0
            assert actor.get_light_state() == carla.VehicleLightState.NONE
        for actor in (*driving, *walking):
            assert actor.is_alive
        roads, gone = world.get_map(), dict.fromkeys((actor.id for actor in driving), 0.0)
        for _ in range(40):
            before = {actor.id: actor.get_location() for actor in (*driving, *walking)}
            world.tick()
            for actor in (*driving, *walking):
                moved = (actor.get_location() - before[actor.id]) / STEP_S
                if moved.length() < 20.0:  # else it was put elsewhere
                    assert near(moved, actor.get_velocity(), 1.5), actor.type_id
            for actor in driving:
                gone[actor.id] += actor.get_velocity().length() * STEP_S
                velocity, speed = actor.get_velocity(), actor.get_velocity().length()
                if speed > 1.0:
                    ahead = actor.get_transform().get_forward_vector()
                    assert velocity.dot(ahead) > 0.9 * speed
                lane = roads.get_waypoint(actor.get_location()).transform.location
                place = actor.get_location()
                assert math.hypot(place.x - lane.x, place.y - lane.y) < 2.0
        assert max(gone.values()) > 5.0
        for actor in (driving[0], walking[0]):
            assert actor.destroy()
            world.tick()
            assert actor.id not in [other.id for other in world.get_actors()]
        assert len(world.get_actors().filter("vehicle.*")) == int(vehicles) - 1


def struck(client: Any) -> None:
    """A client's car runs into one of them, and is told which."""
    with synchronous(client) as world:
        world.tick()
        others = world.get_actors().filter("vehicle.*")
        car = spawned(world, "vehicle.tesla.model3", world.get_map().get_spawn_points()[0])
        heard = Heard(world, attached(world, "sensor.other.collision", car))
        world.tick()

        def crash() -> None:
            heard.by_frame.clear()
            for other in others:
                place = other.get_transform()
                behind = carla.Location(-6.0, 0.0, 0.1)
                place.transform(behind)
                car.set_transform(carla.Transform(behind, place.rotation))
                car.set_target_velocity(place.get_forward_vector() * 20.0)
                ticked(world, 10)

        for _ in range(20):
            (event,) = heard_at_once(crash, heard)
            if event.other_actor.id in {other.id for other in others}:
                break
        else:
            raise AssertionError("it has met none of them")
        assert event.actor.id == car.id
        assert event.other_actor.type_id.startswith("vehicle.")
        assert event.normal_impulse.length() > 100.0
