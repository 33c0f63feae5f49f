# SPDX-License-Identifier: Apache-2.0
"""The client's traffic manager, and the map's traffic lights."""

from __future__ import annotations

import math
from typing import Any

import carla

from .town import STEP_S, free_port, kept, near, spawned, synchronous, ticked

VEHICLES, TICKS = 10, 300
STATE = carla.TrafficLightState
LIGHT = "traffic.traffic_light"


def manager(client: Any) -> None:
    """Ten vehicles drive along their lanes, in synchronous mode."""
    with synchronous(client) as world:
        roads, library = world.get_map(), world.get_blueprint_library()
        places = roads.get_spawn_points()
        model3, command = library.find("vehicle.tesla.model3"), carla.command
        driver = kept(client.get_trafficmanager(free_port()))
        driver.set_synchronous_mode(True)
        driver.set_random_device_seed(1)
        driver.set_global_distance_to_leading_vehicle(2.5)
        batch = [
            command.SpawnActor(model3, place).then(
                command.SetAutopilot(command.FutureActor, True, driver.get_port())
            )
            for place in places[:: len(places) // VEHICLES][:VEHICLES]
        ]
        answers = client.apply_batch_sync(batch, True)
        assert [answer.error for answer in answers] == [""] * VEHICLES
        cars = world.get_actors([answer.actor_id for answer in answers])
        driver.update_vehicle_lights(cars[0], True)
        driver.ignore_lights_percentage(cars[0], 100.0)
        driven = dict.fromkeys((car.id for car in cars), 0.0)
        for _ in range(TICKS):
            world.tick()
            for car in cars:
                driven[car.id] += car.get_velocity().length() * STEP_S
                place = car.get_location()
                lane = roads.get_waypoint(place)
                aside_m = math.hypot(
                    place.x - lane.transform.location.x, place.y - lane.transform.location.y
                )
                assert aside_m < 2.0, f"{car.id} has left its lane by {aside_m} m"
        moved = sorted(driven.values())
        assert moved[VEHICLES // 2] > 15.0, f"they drove {moved} m"
        driver.shut_down()


def lights(client: Any) -> None:
    """Each signal of the map is an actor; those of a junction take turns."""
    with synchronous(client) as world:
        roads = world.get_map()
        found = list(world.get_actors().filter(LIGHT))
        landmarks = roads.get_all_landmarks_of_type("1000001")
        assert {light.get_opendrive_id() for light in found} == {mark.id for mark in landmarks}
        limits = world.get_actors().filter("traffic.speed_limit.50")
        assert len(limits) == len(roads.get_all_landmarks_of_type("274"))
        world.tick()
        for mark in landmarks:
            light = world.get_traffic_light(mark)
            assert light.get_opendrive_id() == mark.id
            assert world.get_traffic_light_from_opendrive_id(mark.id).id == light.id
            place = light.get_transform().location
            aside = carla.Location(mark.transform.location.x, mark.transform.location.y, place.z)
            assert place.distance(aside) < 1.0
            affected = light.get_affected_lane_waypoints()
            stops = light.get_stop_waypoints()
            assert affected
            assert stops
            for stop in stops:
                assert stop.transform.location.distance(place) < 15.0
                assert not stop.is_junction
                assert stop.next(8.0)[0].is_junction
            box = light.trigger_volume
            assert box.extent.x > 0.5
        groups = {
            tuple(sorted(one.id for one in light.get_group_traffic_lights())) for light in found
        }
        assert sorted(number for group in groups for number in group) == sorted(
            light.id for light in found
        )
        assert all(len(group) >= 3 for group in groups)
        assert len({light.get_pole_index() for light in found}) == len(found)
        seen = set()
        for _ in range(80):
            ticked(world, 10)
            states = {light.id: light.get_state() for light in found}
            seen |= set(states.values())
            for group in groups:
                assert sum(states[number] != STATE.Red for number in group) <= 1
        assert seen == {STATE.Red, STATE.Yellow, STATE.Green}
        junction = found[0].get_stop_waypoints()[0].next(8.0)[0].get_junction()
        there = world.get_traffic_lights_in_junction(junction.id)
        assert tuple(sorted(light.id for light in there)) in groups


def turns(client: Any) -> None:
    """States, times, frozen and begun anew."""
    with synchronous(client) as world:
        world.tick()
        light = world.get_actors().filter(LIGHT)[0]
        group = light.get_group_traffic_lights()
        times = light.get_green_time(), light.get_yellow_time(), light.get_red_time()
        assert times == (10.0, 3.0, 2.0)
        world.freeze_all_traffic_lights(True)
        world.tick()
        assert all(one.is_frozen() for one in group)
        for state in (STATE.Green, STATE.Yellow, STATE.Off, STATE.Red):
            light.set_state(state)
            ticked(world, 3)
            assert light.get_state() == state
            assert light.state == state
        before = [one.get_state() for one in group]
        ticked(world, 400)
        assert [one.get_state() for one in group] == before
        world.freeze_all_traffic_lights(False)
        light.reset_group()
        for one in group:
            one.set_green_time(1.0)
            one.set_yellow_time(0.5)
            one.set_red_time(0.25)
        light.reset_group()
        world.tick()
        assert [one.get_green_time() for one in group] == [1.0] * len(group)
        (green,) = (one for one in group if one.get_state() == STATE.Green)
        shown = []
        for _ in range(round(1.75 / STEP_S) * len(group)):
            world.tick()
            if not shown or shown[-1] != green.get_state():
                shown.append(green.get_state())
        assert shown[:3] == [STATE.Green, STATE.Yellow, STATE.Red]
        assert green.get_elapsed_time() >= 0.0
        world.reset_all_traffic_lights()
        world.tick()
        assert green.get_state() == STATE.Green
        light.freeze(True)
        world.tick()
        assert light.is_frozen()


def at_a_light(client: Any) -> None:
    """A vehicle knows before which light it is, and the limit that it has passed."""
    with synchronous(client) as world:
        world.tick()
        light = world.get_actors().filter(LIGHT)[0]
        stop = light.get_stop_waypoints()[0]
        before = stop.previous(0.5)[0].transform
        before.location.z += 0.3
        away = stop.previous(25.0)[0].transform
        away.location.z += 0.3
        car = spawned(world, "vehicle.tesla.model3", away)
        world.tick()
        assert not car.is_at_traffic_light()
        assert car.get_traffic_light() is None
        assert car.get_traffic_light_state() == STATE.Green
        car.set_transform(before)
        for state in (STATE.Red, STATE.Green):
            light.set_state(state)
            world.tick()
            assert car.is_at_traffic_light()
            assert car.get_traffic_light().id == light.id
            assert car.get_traffic_light_state() == state
        assert near(car.get_traffic_light().get_location(), light.get_location())
        car.set_transform(away)
        world.tick()
        assert not car.is_at_traffic_light()
        assert car.get_speed_limit() == 30.0
        sign = world.get_actors().filter("traffic.speed_limit.50")[0]
        volume = sign.trigger_volume
        middle = carla.Location(volume.location.x, volume.location.y, 0.3)
        sign.get_transform().transform(middle)
        lane = world.get_map().get_waypoint(middle).transform
        lane.location.z += 0.3
        car.set_transform(lane)
        world.tick()
        assert car.get_speed_limit() == 50.0
