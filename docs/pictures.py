# SPDX-License-Identifier: Apache-2.0
"""Draws the README's picture: what the car sees, and the route it drives.

python docs/pictures.py CHECKPOINT docs/images/drive.png [--map FILE.xodr] [--seed N]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.driving.driver import Driver, Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.road_map import RoadMap
from td3_driver.evaluation.closed_loop import drive
from td3_driver.world.camera import Camera
from td3_driver.world.roads import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

VIEW_PX = (480, 360)
BIRD_LEVEL = 2  # the raster's pyramid level, 0.4 m a pixel
ROUTE, DRIVEN, CAR = (60, 180, 250), (80, 220, 80), (40, 40, 230)


class Greedy:
    """A checkpoint's policy without noise."""

    def __init__(self, file: Path) -> None:
        self._agent = TD3Agent.from_checkpoint(file)

    def begin_episode(self) -> None:
        """Nothing to forget."""

    def act(self, situation: Situation) -> Action:
        seen = situation.observation
        return self._agent.select_action({"image": seen.image, "vector": seen.vector})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--map", type=Path)
    parser.add_argument("--seed", type=int, default=1001)
    parser.add_argument("--frames", type=int, default=420)
    args = parser.parse_args()
    text = generate_opendrive(args.seed)
    road_map = RoadMap.from_file(args.map) if args.map else RoadMap(text, "generated")
    world = Simulation(WorldConfig(seed=args.seed), road_map)
    driving = load_configuration("default").driving
    driver = Driver(driving, Greedy(args.checkpoint), None, args.seed)
    path = []
    for frame in drive(driver, world):
        if driver.episode is not None:
            path.append(frame.ego.pose)
        if len(path) >= args.frames or frame.report.ended is not None:
            break
    view = Camera(*VIEW_PX, fov_deg=90.0, x_m=1.6, z_m=1.5).render(world.surface, path[-1])
    bird = bird_view(world, driver, path)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), np.hstack([view[:, :, :3], bird]))


def bird_view(world: Simulation, driver: Driver, path: list) -> np.ndarray:
    """The map round the route, with the route, the drive and the car."""
    picture = world.surface.levels[BIRD_LEVEL].copy()
    matrix = world.surface.pixel_from_map(BIRD_LEVEL)

    def pixel(points_m: np.ndarray) -> np.ndarray:
        homogeneous = np.column_stack([points_m, np.ones(len(points_m))])
        return np.round((homogeneous @ matrix.T)[:, :2]).astype(int)

    assert driver.route is not None
    route = pixel(driver.route.points_m)
    driven = pixel(np.array([(pose.x_m, pose.y_m) for pose in path]))
    for points, colour, width in ((route, ROUTE, 5), (driven, DRIVEN, 3)):
        for a, b in pairwise(points):
            cv2.line(picture, tuple(map(int, a)), tuple(map(int, b)), colour, width, cv2.LINE_AA)
    cv2.circle(picture, tuple(map(int, driven[-1])), 9, CAR, -1, cv2.LINE_AA)
    return framed(picture, np.vstack([route, driven]))


def framed(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The part of the picture round the points, in the view's size."""
    width, height = VIEW_PX
    low, high = points.min(axis=0) - 30, points.max(axis=0) + 30
    scale = max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    centre = (low + high) / 2
    matrix = np.array(
        [[1 / scale, 0, width / 2 - centre[0] / scale],
         [0, 1 / scale, height / 2 - centre[1] / scale]]
    )  # fmt: skip
    flags = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    border = tuple(int(value) for value in picture[0, 0])
    return cv2.warpAffine(picture, matrix, VIEW_PX, flags=flags, borderValue=border)


if __name__ == "__main__":
    main()
