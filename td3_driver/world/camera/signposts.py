# SPDX-License-Identifier: Apache-2.0
"""Traffic lights and stop signs on their posts, as cameras see them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.types import Lights, LightState
from td3_driver.opendrive.signal_elements import PAINTED_STOP
from td3_driver.opendrive.signals import Signal
from td3_driver.world.bodies.shapes import (
    Mesh,
    Shapes,
    frustum,
    octagon,
    placed,
    underside,
    wall_patch,
)
from td3_driver.world.ground.surface import LANE, Surface
from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]

_POST_M = 0.11
_POST_BGR = (118.0, 120.0, 118.0)
# A usual housing of three lamps.
_WIDTH_M, _HEIGHT_M, _DEPTH_M = 0.35, 1.0, 0.25
_LAMP_RADIUS_M, _LAMP_APART_M = 0.14, 0.31
_HOUSING_BGR = (36.0, 38.0, 34.0)
# From the top: red, yellow, green.
_LIT_BGR = np.array([(55.0, 50.0, 255.0), (60.0, 205.0, 255.0), (150.0, 255.0, 80.0)])
_UNLIT_BGR = np.array([(30.0, 28.0, 52.0), (28.0, 46.0, 52.0), (42.0, 48.0, 32.0)])
_BURNING = (LightState.RED, LightState.YELLOW, LightState.GREEN)
_FACES_PER_LAMP = 3

_PLATE_RADIUS_M = 0.42
_RED_BGR, _WHITE_BGR, _BACK_BGR = (45.0, 35.0, 185.0), (225.0, 225.0, 225.0), (150.0, 150.0, 148.0)

# Maps put some signals at the foot of their posts, which is in or on the ground, and some where
# the housing or plate is. Over a pavement one has to be able to walk below them.
_LOWEST_MIDDLE_M = 1.5
_LIGHT_MIDDLE_M, _PLATE_MIDDLE_M = 2.7, 2.4


class Signposts:
    """The traffic lights and stop signs of a town; of each light the lamp that burns is bright.

    They stand where the map has them and are turned to the traffic that they are for. What hangs
    over a lane is drawn without its post.

    Args:
        road_map: the town.
        surface: its ground.
    """

    def __init__(self, road_map: RoadMap, surface: Surface) -> None:
        lights = road_map.lights
        signs = [sign for sign in road_map.stop_signs if PAINTED_STOP not in sign.record.name]
        poses = np.array([_pose(signal, road_map) for signal in (*lights, *signs)]).reshape(-1, 3)
        meshes = [
            *(_housing(_middle_m(light, _LIGHT_MIDDLE_M)) for light in lights),
            *(_plate(_middle_m(sign, _PLATE_MIDDLE_M)) for sign in signs),
        ]
        for number in np.flatnonzero(surface.class_at(poses[:, :2]) != LANE).tolist():
            meshes[number] = _post_below(meshes[number]) + meshes[number]
        self._shapes = placed(meshes, poses)
        ends = np.cumsum([len(mesh.faces) for mesh in meshes[: len(lights)]], dtype=np.int64)
        lamps = np.arange(-len(_BURNING) * _FACES_PER_LAMP, 0).reshape(len(_BURNING), -1)
        self._lamps = ends[:, None, None] + lamps  # (L, 3, faces) rows of faces
        self._shown: Lights = np.full(len(lights), LightState.OFF, np.uint8)
        self._shapes = self._showing(self._shown)

    def shapes(self, shown: Lights) -> Shapes:
        """All of them, while the lights show this."""
        if not np.array_equal(shown, self._shown):
            self._shown, self._shapes = shown, self._showing(shown)
        return self._shapes

    def _showing(self, shown: Lights) -> Shapes:
        burning = (shown[:, None] == _BURNING)[..., None]
        colors, glowing = self._shapes.colors_bgr.copy(), self._shapes.glowing.copy()
        colors[self._lamps] = np.where(
            burning[..., None], _LIT_BGR[:, None], _UNLIT_BGR[:, None]
        )
        glowing[self._lamps] = burning
        return replace(self._shapes, colors_bgr=colors, glowing=glowing)


def _pose(signal: Signal, road_map: RoadMap) -> tuple[float, float, float]:
    """x, y in m, and the direction of the traffic that it is for."""
    yaw_rad = signal.yaw_rad
    if signal.stops:  # in some maps those on one side of the road are the wrong way round
        lane, s_m = signal.stops[0]
        if math.cos(LanePlace.on(road_map.lanes[lane], s_m).yaw_rad - yaw_rad) < 0.0:
            yaw_rad += math.pi
    return signal.x_m, signal.y_m, yaw_rad


def _middle_m(signal: Signal, usual_m: float) -> float:
    """The height of its middle above the ground."""
    told_m = signal.record.z_offset_m
    return told_m if told_m >= _LOWEST_MIDDLE_M else usual_m


def _post_below(mesh: Mesh) -> Mesh:
    """A post from the ground to the middle of what it carries, which hides its upper end."""
    half_m = _POST_M / 2.0
    top_m = float(mesh.faces[..., 2].min() + mesh.faces[..., 2].max()) / 2.0
    ends = (-half_m, half_m, -half_m, half_m)
    post = frustum((*ends, 0.0), (*ends, top_m), _POST_BGR, _POST_BGR)
    return post.tagged(SemanticClass.POLES)


def _housing(middle_m: float) -> Mesh:
    """Turned to the rear, its lamps last, from the top."""
    front_m = _POST_M / 2.0
    box = (front_m - _DEPTH_M, front_m, -_WIDTH_M / 2.0, _WIDTH_M / 2.0)
    low_m, high_m = middle_m - _HEIGHT_M / 2.0, middle_m + _HEIGHT_M / 2.0
    mesh = frustum((*box, low_m), (*box, high_m), _HOUSING_BGR, _HOUSING_BGR)
    mesh += underside((*box, low_m), _HOUSING_BGR)
    for up_m in (_LAMP_APART_M, 0.0, -_LAMP_APART_M):
        mesh += octagon(box[0] - 0.01, middle_m + up_m, _LAMP_RADIUS_M, _HOUSING_BGR)
    return mesh.tagged(SemanticClass.TRAFFIC_LIGHT)


def _plate(middle_m: float) -> Mesh:
    """An octagon, white round red, turned to the rear, with four bars for its word."""
    at_m = -_POST_M / 2.0
    mesh = octagon(-at_m, middle_m, _PLATE_RADIUS_M, _BACK_BGR)
    mesh += octagon(at_m, middle_m, _PLATE_RADIUS_M, _WHITE_BGR)
    mesh += octagon(at_m - 0.005, middle_m, 0.92 * _PLATE_RADIUS_M, _RED_BGR)
    up_m, half_m = 0.22 * _PLATE_RADIUS_M, 0.12 * _PLATE_RADIUS_M
    for letter in (-1.5, -0.5, 0.5, 1.5):
        middle_y = 0.36 * letter * _PLATE_RADIUS_M
        across, up = (middle_y - half_m, middle_y + half_m), (middle_m - up_m, middle_m + up_m)
        mesh += wall_patch(at_m - 0.01, across, up, _WHITE_BGR)
    return mesh.tagged(SemanticClass.TRAFFIC_SIGNS)
