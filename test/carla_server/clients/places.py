# SPDX-License-Identifier: Apache-2.0
"""The map, and the blueprint library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import carla

from .town import near, synchronous

OBJECTS = Path(__file__).resolve().parents[3] / "config" / "ego_vehicle.json"
OF_THE_OBJECTS_FILE = {"type", "id", "spawn_point", "sensors", "attributes"}


def town(client: Any) -> None:
    """The client makes the map from the document that it gets; cars are spawned on its lanes."""
    with synchronous(client) as world:
        roads = world.get_map()
        own = carla.Map(roads.name, roads.to_opendrive())
        ways, expected = roads.get_topology(), own.get_topology()
        assert len(ways) == len(expected) > 10
        for way, other in zip(ways, expected, strict=True):
            for one, same in zip(way, other, strict=True):
                assert near(one.transform.location, same.transform.location)
        assert roads.get_all_landmarks_of_type("1000001")
        places = roads.get_spawn_points()
        assert len(places) >= 10
        for place in places:
            waypoint = roads.get_waypoint(place.location, project_to_road=False)
            assert waypoint is not None
            assert waypoint.lane_type == carla.LaneType.Driving
            assert not waypoint.is_junction
            middle = waypoint.transform
            assert abs(place.location.x - middle.location.x) < 0.2
            assert abs(place.location.y - middle.location.y) < 0.2
            turned = (place.rotation.yaw - middle.rotation.yaw + 180.0) % 360.0 - 180.0
            assert abs(turned) < 2.0, f"{place} stands against {middle}"
            assert 0.1 < place.location.z - middle.location.z < 2.0  # they fall onto their wheels


def blueprints(client: Any) -> None:
    with synchronous(client) as world:
        library = world.get_blueprint_library()
        assert len(library) > 100
        assert len(library.filter("vehicle.*")) == 41
        assert len(library.filter("walker.pedestrian.*")) == 52
        cars = library.filter_by_attribute("base_type", "car")
        assert cars
        assert all(car.get_attribute("base_type").as_str() == "car" for car in cars)
        model3 = library.find("vehicle.tesla.model3")
        assert model3.match_tags("*tesla*")
        assert set(model3.tags) == {"vehicle", "tesla", "model3"}
        assert int(model3.get_attribute("number_of_wheels")) == 4
        color = model3.get_attribute("color")
        assert color.is_modifiable
        assert color.type == carla.ActorAttributeType.RGBColor
        model3.set_attribute("color", "1,2,3")
        assert model3.get_attribute("color").as_color() == carla.Color(1, 2, 3)
        car = world.spawn_actor(model3, world.get_map().get_spawn_points()[0])
        assert car.attributes["color"] == "1,2,3"
        assert car.attributes["base_type"] == "car"
        (*_, ego) = json.loads(OBJECTS.read_text())["objects"]
        for told in (ego, *ego["sensors"]):
            if ".pseudo." in told["type"]:
                continue  # the bridge's own
            blueprint = library.find(told["type"])
            for name in told.keys() - OF_THE_OBJECTS_FILE:
                blueprint.set_attribute(name, str(told[name]))
            if told is not ego:
                place = carla.Transform(carla.Location(z=2.0))
                sensor = world.spawn_actor(blueprint, place, attach_to=car)
                assert sensor.attributes["role_name"]
        for blueprint in library:
            for attribute in blueprint:
                if attribute.is_modifiable:
                    choice = (attribute.recommended_values or [""])[0]
                    blueprint.set_attribute(attribute.id, choice)
