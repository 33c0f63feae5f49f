# SPDX-License-Identifier: Apache-2.0
"""A drive by given commands, told as JSON: what the simulation itself gives for the same ones."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import carla

from .town import Heard, attached, synchronous


def drive(client: Any) -> None:
    """Read where, what to do and what to see from the standard input; print what came of it."""
    told = json.load(sys.stdin)
    with synchronous(client) as world:
        library = world.get_blueprint_library()
        place = carla.Transform(
            carla.Location(*told["location"]), carla.Rotation(yaw=told["yaw_deg"])
        )
        car = world.spawn_actor(library.find("vehicle.tesla.model3"), place)
        mounting = carla.Transform(carla.Location(*told["camera"]))
        width, height = told["size_px"]
        sensor = attached(
            world, "sensor.camera.rgb", car, mounting, image_size_x=width, image_size_y=height
        )
        heard = Heard(world, sensor)
        heard.until_there()
        for throttle, steer, brake in told["commands"]:
            car.apply_control(carla.VehicleControl(throttle, steer, brake))
            picture = heard.of_next_tick()
            at, velocity = car.get_transform(), car.get_velocity()
            digest = hashlib.sha256(bytes(picture.raw_data)).hexdigest()
            row = [at.location.x, at.location.y, at.rotation.yaw, velocity.x, velocity.y, digest]
            print(json.dumps(row))
