# SPDX-License-Identifier: Apache-2.0
"""Traffic lights and stop signs in the camera's pictures."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import LightState, Pose
from td3_driver.driving.view import ViewConfig, frame_of
from td3_driver.world.camera.appearance import PLAIN, Look, random_look
from td3_driver.world.camera.camera import Camera, CameraConfig
from td3_driver.world.camera.signposts import Signposts
from td3_driver.world.camera.weather import look_of_weather
from td3_driver.world.ground.surface import Surface
from td3_driver.world.semantic_class import SemanticClass

from ..opendrive.making import lane, read, road, section

RED, YELLOW, GREEN, OFF, UNKNOWN = LightState
WIDTH_PX, HEIGHT_PX = 800, 600
FOCAL_PX = 400.0
LINE_M, AHEAD_M = 60.0, 12.0  # from the camera, which is 1.6 m ahead of the car's middle
NEAR = Pose(LINE_M - AHEAD_M - 1.6, -1.75, 0.0)
NIGHT = look_of_weather(0.0, 0.0, 0.0, 0.0, 2.0, 0.75, -1.0, -30.0)


@cache
def street(signal: str, t_m: float = -5.5) -> tuple[RoadMap, Surface]:
    """120 m straight on, with a signal on the right, 60 m from its beginning."""
    placed = f'<signal id="a" s="{LINE_M}" t="{t_m}" orientation="+" {signal}/>'
    road_map = read(
        road(0, 120.0, section(0, lane(1), lane(-1)), more=f"<signals>{placed}</signals>")
    )
    return road_map, Surface(road_map)


LIGHT = 'type="1000001" dynamic="yes" zOffset="-0.55"'


def pictures(
    town: tuple[RoadMap, Surface], *states: LightState, pose: Pose = NEAR
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours as int, semantic classes and depths."""
    camera, posts = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX)), Signposts(*town)
    shapes = posts.shapes(np.array(states, np.uint8))
    return (
        camera.render(town[1], pose, shapes)[..., :3].astype(int),
        camera.semantic(town[1], pose, shapes),
        camera.depth_m(town[1], pose, shapes),
    )


def box(seen: np.ndarray) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of what is seen, px from the picture's middle."""
    rows, columns = np.nonzero(seen)
    return (
        columns.min() - WIDTH_PX / 2,
        columns.max() + 1 - WIDTH_PX / 2,
        rows.min() - HEIGHT_PX / 2,
        rows.max() + 1 - HEIGHT_PX / 2,
    )


@pytest.mark.parametrize(("height", "middle_m"), [("-0.55", 2.7), ("0.0", 2.7), ("4.5", 4.5)])
def test_a_light_stands_where_the_map_has_it(height: str, middle_m: float) -> None:
    """A housing of 0.35 m by 1 m; at its foot in some maps, and in others where it is."""
    _, classes, depth_m = pictures(
        street(f'type="1000001" dynamic="yes" zOffset="{height}"'), RED
    )
    housing = classes == SemanticClass.TRAFFIC_LIGHT
    to_m = AHEAD_M - 0.195  # its front, and the post's middle is where the signal is
    right_px = FOCAL_PX * (5.5 - 1.75) / to_m
    half_px = FOCAL_PX * 0.175 / to_m
    left, right, top, bottom = box(housing)
    assert left == pytest.approx(right_px - half_px, abs=4.0)
    assert right == pytest.approx(right_px + half_px, abs=3.0)
    assert top == pytest.approx(-FOCAL_PX * (middle_m + 0.5 - 1.5) / to_m, abs=2.0)
    assert bottom == pytest.approx(-FOCAL_PX * (middle_m - 0.5 - 1.5) / to_m, abs=3.0)
    assert np.median(depth_m[housing]) == pytest.approx(to_m, abs=0.05)
    post = classes == SemanticClass.POLES
    left, right, top, low = box(post)
    assert (left + right) / 2.0 == pytest.approx(FOCAL_PX * 3.75 / AHEAD_M, abs=2.0)
    assert 0.05 < (right - left) * AHEAD_M / FOCAL_PX < 0.25
    assert top == pytest.approx(bottom, abs=2.0), "up to the housing"
    assert low == pytest.approx(FOCAL_PX * 1.5 / AHEAD_M, abs=2.0), "on the ground"


@pytest.mark.parametrize("state", LightState)
def test_one_lamp_burns(state: LightState) -> None:
    """Red is above, yellow in the middle, green below; dark lights show nothing."""
    colors, classes, _ = pictures(street(LIGHT), state)
    left, right, top, bottom = (
        round(edge + half)
        for edge, half in zip(
            box(classes == SemanticClass.TRAFFIC_LIGHT),
            (WIDTH_PX / 2, WIDTH_PX / 2, HEIGHT_PX / 2, HEIGHT_PX / 2),
            strict=True,
        )
    )
    middle = (left + right) // 2
    thirds = [
        colors[round(top + (bottom - top) * share), middle] for share in (0.19, 0.5, 0.81)
    ]
    bright = [color.max() > 200 for color in thirds]
    assert bright == [state is RED, state is YELLOW, state is GREEN]
    blue, green, red = thirds[bright.index(True)] if any(bright) else (0, 0, 0)
    assert (red > 200) == (state in (RED, YELLOW))
    assert (green > 180) == (state in (YELLOW, GREEN))
    assert blue < 170


def test_lamps_are_turned_to_their_traffic() -> None:
    """Also where the map says the direction of the other side; others see a dark back."""
    behind = Pose(LINE_M + AHEAD_M + 1.6, 1.75, math.pi)
    for heading in ("0", str(math.pi)):
        town = street(f'{LIGHT} hOffset="{heading}"')
        colors, _, _ = pictures(town, RED)
        assert ((colors[..., 2] > 230) & (colors[..., 1] < 90)).sum() > 30
        colors, classes, _ = pictures(town, RED, pose=behind)
        assert (classes == SemanticClass.TRAFFIC_LIGHT).sum() > 200
        assert not ((colors[..., 2] > 150) & (colors[..., 1] < 90)).any()


def test_what_hangs_over_a_lane_has_no_post_in_it() -> None:
    _, classes, _ = pictures(street(LIGHT.replace("-0.55", "5.0"), t_m=-1.75), GREEN)
    assert (classes == SemanticClass.TRAFFIC_LIGHT).sum() > 200
    assert not (classes == SemanticClass.POLES).any()


def test_a_stop_sign_is_a_red_plate() -> None:
    town = street('type="206" zOffset="0"')
    colors, classes, _ = pictures(town)
    plate = classes == SemanticClass.TRAFFIC_SIGNS
    left, right, top, bottom = box(plate)
    assert (right - left) * AHEAD_M / FOCAL_PX == pytest.approx(0.84, abs=0.1)
    assert (bottom - top) * AHEAD_M / FOCAL_PX == pytest.approx(0.84, abs=0.1)
    reddish = plate & (colors[..., 2] > 2 * colors[..., 1]) & (colors[..., 2] > 80)
    assert 0.5 < reddish.sum() / plate.sum() < 0.95, "within a white rim"
    corner = plate[int(top + HEIGHT_PX / 2 + 2), int(left + WIDTH_PX / 2 + 2)]
    assert not corner, "an octagon"
    painted = street('type="206" zOffset="0" name="Stencil_STOP"')
    _, classes, _ = pictures(painted)
    assert not (classes == SemanticClass.TRAFFIC_SIGNS).any(), "what is painted has no plate"


@pytest.mark.parametrize("size", [(160, 120), (800, 600)])
@pytest.mark.parametrize("ahead_m", [6.0, 12.0, 20.0])
@pytest.mark.parametrize(
    "look", [PLAIN, NIGHT, *(random_look(np.random.default_rng(seed)) for seed in range(4))]
)
def test_a_policy_can_tell_red_from_green(
    look: Look, ahead_m: float, size: tuple[int, int]
) -> None:
    """In its 84 by 84 grey pixels, by place and by value; looks include dusk and rain."""
    road_map, surface = street(LIGHT)
    camera, posts = Camera(CameraConfig("rgb_front", *size)), Signposts(road_map, surface)
    camera.wear(look)
    pose = Pose(LINE_M - ahead_m - 1.6, -1.75, 0.0)
    red, green = (
        frame_of(
            camera.render(surface, pose, posts.shapes(np.array([state], np.uint8))), ViewConfig()
        ).astype(int)
        for state in (RED, GREEN)
    )
    change = green - red
    assert change.max() >= 20, "a green lamp is brighter than a red one"
    assert change.min() <= -6, "and they are at different places"
    assert np.argwhere(change == change.max())[0, 0] >= np.argwhere(change == change.min())[0, 0]
