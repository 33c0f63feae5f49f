# SPDX-License-Identifier: Apache-2.0
"""Pictures: what their bytes say of a world whose distances are known."""

from __future__ import annotations

import math
from typing import Any

import carla
import numpy as np

from .town import (
    STEP_S,
    Heard,
    attached,
    near,
    raises,
    spawned,
    straight_place,
    synchronous,
    ticked,
)

WIDTH_PX, HEIGHT_PX, FOV_DEG = 64, 48, 90.0
EYE_M = 1.5
MOUNTING = carla.Transform(carla.Location(1.6, 0.0, EYE_M))
LABEL = carla.CityObjectLabel


def pixels(image: Any) -> Any:
    """(height, width, 4) uint8: blue, green, red, alpha."""
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)


def depth_m(image: Any) -> Any:
    """(height, width): CARLA's packing, 24 bits of a kilometre, the lowest eight in red."""
    blue, green, red = (pixels(image)[..., channel].astype(float) for channel in range(3))
    return (red + 256.0 * green + 65536.0 * blue) / (2**24 - 1) * 1000.0


def camera(world: Any, kind: str, parent: Any, mounting: Any = MOUNTING, **more: object) -> Any:
    """A small one."""
    size = {"image_size_x": WIDTH_PX, "image_size_y": HEIGHT_PX, "fov": FOV_DEG}
    return attached(world, f"sensor.camera.{kind}", parent, mounting, **(size | more))


def standing(world: Any) -> Any:
    """A car on its wheels, on a straight road, that stays."""
    car = spawned(world, "vehicle.tesla.model3", straight_place(world))
    car.apply_control(carla.VehicleControl(brake=1.0))
    ticked(world, 30)
    return car


def parked_ahead(world: Any, car: Any, ahead_m: float) -> Any:
    """Another one before it, middle to middle."""
    place = car.get_transform()
    there = carla.Location(ahead_m, 0.0, 0.1)
    place.transform(there)
    other = spawned(world, "vehicle.tesla.model3", carla.Transform(there, place.rotation))
    other.apply_control(carla.VehicleControl(brake=1.0))
    ticked(world, 30)
    return other


def rgb(client: Any) -> None:
    with synchronous(client) as world:
        car = standing(world)
        sensor = camera(world, "rgb", car)
        heard = Heard(world, sensor)
        heard.until_there()
        image = heard.of_next_tick()
        assert (image.width, image.height, image.fov) == (WIDTH_PX, HEIGHT_PX, FOV_DEG)
        assert len(image.raw_data) == WIDTH_PX * HEIGHT_PX * 4
        snapshot = world.get_snapshot()
        assert image.frame == snapshot.frame
        assert image.timestamp == snapshot.timestamp.elapsed_seconds
        assert near(image.transform.location, sensor.get_transform().location)
        seen = pixels(image).astype(float)
        assert (seen[..., 3] == 255.0).all()
        sky, road = seen[2, :, :3].mean(axis=0), seen[-3, 28:36, :3].mean(axis=0)
        assert sky[0] > sky[2], f"the sky is not blue: {sky}"
        assert np.ptp(road) < 40.0, f"the road is not grey: {road}"
        assert sky.sum() > road.sum() + 30.0
        same = heard.of_next_tick()
        assert bytes(same.raw_data) == bytes(image.raw_data)  # nothing moves
        # Who stands ahead is in the picture, in its own colour.
        parked_ahead(world, car, 9.0)
        ahead = heard.of_next_tick()
        changed = np.abs(pixels(ahead).astype(float) - seen).sum(axis=-1) > 60.0
        rows, columns = np.nonzero(changed)
        assert changed[22:28, 27:37].mean() > 0.8, changed.astype(int)[14:34]
        assert 10 < columns.min() < columns.max() < 54
        assert rows.size
        image.convert(carla.ColorConverter.Raw)
        for attribute, value in (("image_size_x", 0), ("fov", 180.0), ("image_size_y", 99_999)):
            raises(attribute, lambda name=attribute, value=value: camera(  # type: ignore[misc]
                world, "rgb", car, **{name: value}
            ))  # fmt: skip


def depth(client: Any) -> None:
    """Along the camera's axis: the ground's is known by its row, a car's rear by its place."""
    with synchronous(client) as world:
        car = standing(world)
        heard = Heard(world, camera(world, "depth", car))
        heard.until_there()
        image = heard.of_next_tick()
        read = depth_m(image)
        focal_px = WIDTH_PX / 2.0 / math.tan(math.radians(FOV_DEG / 2.0))
        height_m = image.transform.location.z - ground_m(world, image.transform.location)
        assert abs(height_m - EYE_M) < 0.1
        for row in range(30, HEIGHT_PX):
            below_px = row + 0.5 - HEIGHT_PX / 2.0
            expected_m = height_m * focal_px / below_px
            nearest_m = height_m * focal_px / (below_px + 0.5)
            furthest_m = height_m * focal_px / (below_px - 0.5)
            found_m = read[row, WIDTH_PX // 2]
            assert 0.95 * nearest_m < found_m < 1.05 * furthest_m, (row, found_m, expected_m)
        assert (read[:4] > 500.0).all(), "the sky is near"
        other = parked_ahead(world, car, 12.0)
        image = heard.of_next_tick()
        eye, there = image.transform.location, other.get_location()
        rear_m = math.hypot(there.x - eye.x, there.y - eye.y) - other.bounding_box.extent.x
        bumper = depth_m(image)[27:29, 30:34]
        assert np.abs(bumper - rear_m).max() < 0.3, (bumper, rear_m)
        # Converted as CARLA's examples do, near is dark.
        image.convert(carla.ColorConverter.LogarithmicDepth)
        grey = pixels(image)[..., 0]
        assert grey[-1].mean() < grey[2].mean()


def ground_m(world: Any, location: Any) -> float:
    return float(world.get_map().get_waypoint(location).transform.location.z)


def semantic(client: Any) -> None:
    """The tag is in red, CARLA 0.9.16's numbers."""
    with synchronous(client) as world:
        car = standing(world)
        parked_ahead(world, car, 9.0)
        beside = carla.Location(7.0, 3.0, 1.0)
        car.get_transform().transform(beside)
        spawned(world, "walker.pedestrian.0004", carla.Transform(beside))
        heard = Heard(world, camera(world, "semantic_segmentation", car))
        heard.until_there()
        tags = pixels(heard.of_next_tick())
        assert (tags[..., :2] == 0).all()
        found = {LABEL.values[tag] for tag in np.unique(tags[..., 2]).tolist()}
        assert found >= {LABEL.Roads, LABEL.RoadLines, LABEL.Sky, LABEL.Car, LABEL.Pedestrians}
        assert set(tags[2, :, 2].tolist()) == {int(LABEL.Sky)}
        assert int(LABEL.Car) in set(tags[HEIGHT_PX // 2 + 1, 28:36, 2].tolist())
        assert tags[-2, 32, 2] in (int(LABEL.Roads), int(LABEL.RoadLines))
        right = np.nonzero(tags[..., 2] == int(LABEL.Pedestrians))[1]
        assert right.min() > WIDTH_PX // 2, "what is at y > 0 is on the right"


def moments(client: Any) -> None:
    """When pictures come: by `sensor_tick`, and not without rendering."""
    with synchronous(client) as world:
        car = standing(world)
        every = Heard(world, camera(world, "rgb", car))
        third = Heard(world, camera(world, "rgb", car, sensor_tick=3 * STEP_S))
        every.until_there()
        first = third.until_there().frame
        last = [every.of_next_tick().frame for _ in range(10)][-1]
        due = [frame for frame in range(first, last + 1) if (frame - first) % 3 == 0]
        third.of_frame(due[-1])
        assert sorted(third.by_frame) == due
        imu = Heard(world, attached(world, "sensor.other.imu", car))
        imu.until_there()
        blind = world.get_settings()
        blind.no_rendering_mode = True
        world.apply_settings(blind)
        unseen = {imu.of_next_tick().frame for _ in range(3)}
        blind.no_rendering_mode = False
        world.apply_settings(blind)
        front = every.of_next_tick()
        assert not unseen.intersection(every.by_frame)
        # It looks where it is turned to.
        back = carla.Transform(carla.Location(-1.6, 0.0, EYE_M), carla.Rotation(yaw=180.0))
        behind = Heard(world, camera(world, "rgb", car, back))
        behind.until_there()
        assert bytes(behind.of_next_tick().raw_data) != bytes(front.raw_data)


def weather(client: Any) -> None:
    """It is light; the default is what the world looks like."""
    with synchronous(client) as world:
        car = standing(world)
        heard = Heard(world, camera(world, "rgb", car))
        heard.until_there()
        usual = bytes(heard.of_next_tick().raw_data)
        looks = {usual}
        read = world.get_weather()
        world.set_weather(read)
        assert bytes(heard.of_next_tick().raw_data) == usual
        for name in ("HardRainNoon", "ClearNight", "CloudySunset"):
            wanted = getattr(carla.WeatherParameters, name)
            world.set_weather(wanted)
            looks.add(bytes(heard.of_next_tick().raw_data))
            assert world.get_weather() == wanted
        assert len(looks) == 4
        dark = read
        dark.sun_altitude_angle = -90.0
        world.set_weather(dark)
        night = pixels(heard.of_next_tick())[..., :3].mean()
        assert night < np.frombuffer(usual, np.uint8).reshape(-1, 4)[:, :3].mean()
    with synchronous(client) as world:
        car = standing(world)
        heard = Heard(world, camera(world, "rgb", car))
        heard.until_there()
        assert bytes(heard.of_next_tick().raw_data) == usual  # a new episode has a new day
