# SPDX-License-Identifier: Apache-2.0
"""Pictures, in the pixels that CARLA's cameras send: four bytes each, blue, green, red, alpha."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from td3_driver.carla_server import wire
from td3_driver.carla_server.actors import NOWHERE, Actor, Sensor, VehicleActor
from td3_driver.carla_server.axes import world_pose
from td3_driver.carla_server.structures import ActorDescription, CallError
from td3_driver.carla_server.wire import Pose6
from td3_driver.driving.types import Pose
from td3_driver.world.camera.appearance import Look
from td3_driver.world.camera.camera import Camera, CameraConfig
from td3_driver.world.scene import Scene

ByteArray = npt.NDArray[np.uint8]

ROWS = {
    "sensor.camera.rgb": wire.RGB,
    "sensor.camera.depth": wire.DEPTH,
    "sensor.camera.semantic_segmentation": wire.SEMANTIC,
}
_LARGEST_PX = 4096
MOST_PIXELS = 4 * _LARGEST_PX**2  # of all cameras: each pixel takes up to 40 bytes
_NARROWEST_DEG = 0.001
_DEEPEST_M = 1000.0


@dataclass(frozen=True)
class Lens:
    """What a camera's attributes say of its pictures.

    Raises:
        CallError: an attribute is no size or angle.
    """

    width_px: int
    height_px: int
    fov_deg: float

    @classmethod
    def of(cls, description: ActorDescription) -> Lens:
        """The lens that a client wants."""
        width, height, fov = (
            description.number(name, default)
            for name, default in (("image_size_x", 800), ("image_size_y", 600), ("fov", 90.0))
        )
        for name, size in (("image_size_x", width), ("image_size_y", height)):
            if not 1 <= size <= _LARGEST_PX:
                raise CallError(
                    f"{description.id}: {name} {size:g}; expected 1 to {_LARGEST_PX} pixels"
                )
        if not _NARROWEST_DEG <= fov < 180.0:
            raise CallError(
                f"{description.id}: fov {fov:g}; expected {_NARROWEST_DEG:g} to less than 180"
            )
        return cls(int(width), int(height), fov)

    @property
    def pixels(self) -> int:
        """Of a picture."""
        return self.width_px * self.height_px


def picture(sensor: Sensor, parent: Actor | None, scene: Scene, look: Look) -> tuple[bytes, bytes]:
    """What a camera sees now: the header of the picture, and its bytes."""
    lens = Lens.of(sensor.description)
    camera, pose = _camera(sensor, parent, scene, lens)
    if sensor.made.get("look") is not look:
        camera.wear(look)
        sensor.made["look"] = look
    # A camera in or on a car is not blinded by it, as in the picture of `world_node`.
    blind = parent is not None and _within(sensor, parent)
    solids = scene.solids(without=(parent.body_id,) if parent is not None and blind else ())
    pixels: ByteArray
    if sensor.kind == "sensor.camera.rgb":
        pixels = camera.render(scene.surface, pose, solids)
    elif sensor.kind == "sensor.camera.depth":
        pixels = depth_pixels(camera.depth_m(scene.surface, pose, solids))
    else:
        pixels = tag_pixels(camera.semantic(scene.surface, pose, solids))
    header = wire.image_header(lens.width_px, lens.height_px, lens.fov_deg)
    return header, pixels.tobytes()


def depth_pixels(depth_m: npt.NDArray[np.float32]) -> ByteArray:
    """CARLA's packing: 24 bits of a kilometre, the lowest in red. (height, width, 4)."""
    share = np.clip(depth_m.astype(np.float64) / _DEEPEST_M, 0.0, 1.0)
    steps = np.rint(share * (2**24 - 1)).astype(np.uint32)
    channels = [steps >> 16, steps >> 8, steps, np.full_like(steps, 255)]
    return np.stack([channel & 0xFF for channel in channels], axis=-1).astype(np.uint8)


def tag_pixels(tags: ByteArray) -> ByteArray:
    """CARLA's packing: the tag in red. (height, width, 4)."""
    pixels = np.zeros((*tags.shape, 4), np.uint8)
    pixels[..., 2], pixels[..., 3] = tags, 255
    return pixels


def _within(sensor: Sensor, parent: Actor) -> bool:
    """Whether a sensor is in, above or below the box of what carries it."""
    x_m, y_m, *_ = sensor.relative or NOWHERE
    extent = parent.box.extent
    return abs(x_m) <= extent.x and abs(y_m) <= extent.y


def _camera(
    sensor: Sensor, parent: Actor | None, scene: Scene, lens: Lens
) -> tuple[Camera, Pose]:
    """A camera, and the pose of what carries it, which is on the ground."""
    on_car = isinstance(parent, VehicleActor) and sensor.relative is not None
    if on_car and parent is not None and sensor.relative is not None:
        mounting, pose = sensor.relative, world_pose(parent.pose)
    else:  # it carries itself
        pose = world_pose(sensor.pose)
        _, _, z, pitch, _, roll = sensor.pose
        ground_m = scene.terrain.under(pose).z_m
        mounting = (0.0, 0.0, z - ground_m, pitch, 0.0, roll)
    if sensor.made.get("mounting") != mounting:
        sensor.made["mounting"] = mounting
        sensor.made["camera"] = _made(lens, mounting)
        sensor.made.pop("look", None)
    camera: Camera = sensor.made["camera"]
    return camera, pose


def _made(lens: Lens, mounting: Pose6) -> Camera:
    x, y, z, *angles = mounting
    pitch, yaw, roll = (math.remainder(angle, 360.0) for angle in angles)
    if abs(pitch) > 90.0:  # the same beyond the vertical: turned about, upside down
        pitch, yaw, roll = math.copysign(180.0, pitch) - pitch, yaw + 180.0, roll + 180.0
    size = lens.width_px, lens.height_px
    mount = x, -y, z, -pitch, -yaw, roll
    return Camera(CameraConfig("", *size, lens.fov_deg, *mount))
