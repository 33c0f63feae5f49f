# SPDX-License-Identifier: Apache-2.0
"""What the agent sees: the cameras on the car, and the frame that is made of their pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

NARROWEST_DEG, WIDEST_DEG = 10.0, 150.0  # of cameras that an agent sees through
SMALLEST_PX, LARGEST_PX = 24, 512  # of frames, both sides
MOST_CAMERAS = 8

_TO_GREY = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}

Colour = Literal["grey", "rgb"]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Mount:
    """A camera on the car.

    Attributes:
        id: its name in topics, `/carla/<role>/<id>/image`.
        x_m, y_m, z_m: its place in the car's frame (forward, left, above the ground).
        pitch_deg: positive looks down.
        yaw_deg: positive looks to the left.

    Raises:
        ValueError: no topic has that name, or no camera on a car looks so.
    """

    id: str
    x_m: float = 1.6
    y_m: float = 0.0
    z_m: float = 1.5
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0

    def __post_init__(self) -> None:
        if not self.id.replace("_", "").isalnum():
            raise ValueError(f"id {self.id!r}: use letters, digits and _ only")
        for name, most in (("pitch_deg", 90.0), ("yaw_deg", 180.0)):
            if not abs(angle := getattr(self, name)) <= most:
                raise ValueError(f"{name} {angle:g} is not an angle from -{most:g} to {most:g}")

    @property
    def pose(self) -> tuple[float, float, float, float, float]:
        """Its place and direction: x, y, z, pitch, yaw."""
        return self.x_m, self.y_m, self.z_m, self.pitch_deg, self.yaw_deg

    def to_mapping(self) -> dict[str, Any]:
        """The settings as plain data, without those at their defaults."""
        usual = Mount(self.id)
        return {
            name: value
            for name, value in asdict(self).items()
            if name == "id" or value != getattr(usual, name)
        }


@dataclass(frozen=True)
class ViewConfig:
    """The cameras' pictures that the agent sees, and what is made of them.

    Attributes:
        cut_top, cut_bottom: shares of the picture's height that are cut off.
        cut_sides: share of its width that is cut off on each side.
        fov_deg: each camera's horizontal angle of view, that of the whole picture.
        blind: all is black. A twin that learns so shows what pictures are worth.
        size_px: width and height of a frame.
        colour: a frame is grey, or has the channels red, green and blue.
        cameras: the cameras whose pictures of one moment make a frame together, in this order,
            the front one first; empty: one, as the world has it.

    Raises:
        ValueError: no camera has that angle, nothing is left, frames have no such size, or two
            cameras are the same.
    """

    cut_top: float = 0.0
    cut_bottom: float = 0.0
    cut_sides: float = 0.0
    fov_deg: float = 90.0
    blind: bool = False
    size_px: int = 84
    colour: Colour = "grey"
    cameras: tuple[Mount, ...] = ()

    def __post_init__(self) -> None:
        if not NARROWEST_DEG <= self.fov_deg <= WIDEST_DEG:
            raise ValueError(
                f"fov_deg {self.fov_deg:g} is not an angle from {NARROWEST_DEG:g} to"
                f" {WIDEST_DEG:g}"
            )
        if self.cut_top + self.cut_bottom >= 1.0 or self.cut_sides >= 0.5:
            raise ValueError(
                f"cut_top {self.cut_top:g}, cut_bottom {self.cut_bottom:g}, cut_sides"
                f" {self.cut_sides:g} leave nothing; expected cut_top + cut_bottom < 1 and"
                " cut_sides < 0.5"
            )
        if not SMALLEST_PX <= self.size_px <= LARGEST_PX:
            raise ValueError(
                f"size_px {self.size_px} is not a size from {SMALLEST_PX} to {LARGEST_PX}"
            )
        if len(self.cameras) > MOST_CAMERAS:
            raise ValueError(f"cameras: {len(self.cameras)} of them; at most {MOST_CAMERAS}")
        for one, other in itertools.combinations(self.cameras, 2):
            if one.id == other.id:
                raise ValueError(f"cameras: {one.id} is there twice; give each camera once")
            if one.pose == other.pose:
                raise ValueError(
                    f"cameras: {one.id} and {other.id} see the same; give one another x_m, y_m,"
                    " z_m, pitch_deg or yaw_deg"
                )

    @property
    def beside(self) -> tuple[Mount, ...]:
        """The cameras beside the first."""
        return self.cameras[1:]

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W) of a grey frame of one camera, else (C, H, W): each camera's 1 or 3 channels."""
        size = (self.size_px, self.size_px)
        channels = max(len(self.cameras), 1) * (1 if self.colour == "grey" else 3)
        return size if channels == 1 else (channels, *size)

    def of(self, pixels: Picture) -> Picture:
        """Cut (H, W) or (H, W, C) to this part, at least one pixel; a view of the same memory."""
        height, width = pixels.shape[:2]
        top, side = int(self.cut_top * height), int(self.cut_sides * width)
        bottom = height - int(self.cut_bottom * height)
        return pixels[top:bottom, side : width - side]


WHOLE_VIEW = ViewConfig()


def frame_of(pixels: Picture, view: ViewConfig, beside: Sequence[Picture] = ()) -> Picture:
    """Convert pictures to a frame of `view.frame_shape`, uint8.

    Args:
        pixels: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8.
        view: what is seen of it, and how.
        beside: likewise the pictures of the cameras beside the first, in the view's order.

    Raises:
        ValueError: the view has more or fewer cameras.
    """
    if len(beside) != len(view.beside):
        raise ValueError(
            f"pictures of a moment: {1 + len(beside)}, but driving.view has"
            f" {1 + len(view.beside)} cameras; expected one of each"
        )
    if view.blind:
        return np.zeros(view.frame_shape, np.uint8)
    frame = _frame_of_one(pixels, view)
    if not beside:
        return frame
    frames = np.concatenate([frame, *(_frame_of_one(one, view) for one in beside)])
    return frames.reshape(view.frame_shape)


def _frame_of_one(pixels: Picture, view: ViewConfig) -> Picture:
    """(H, W) or, in colour, (3, H, W) of one camera.

    It shrinks first: dropping alpha at 800x600 takes fifty times as long as all of this.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    size = (view.size_px, view.size_px)
    small = cv2.resize(view.of(pixels), size, interpolation=cv2.INTER_AREA)
    code = (_TO_GREY if view.colour == "grey" else _TO_RGB)[channels]
    frame = small if code is None else cv2.cvtColor(small, code)
    if view.colour == "rgb":
        frame = frame.transpose(2, 0, 1)  # channels first, as networks take them
    shape = size if view.colour == "grey" else (3, *size)
    return np.ascontiguousarray(frame, dtype=np.uint8).reshape(shape)
