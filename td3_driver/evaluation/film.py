# SPDX-License-Identifier: Apache-2.0
"""Films of the embedded world, driven by pure pursuit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from td3_driver.configuration import load_configuration
from td3_driver.driving.driver import Driver
from td3_driver.driving.types import Control
from td3_driver.evaluation.closed_loop import drive
from td3_driver.evaluation.filmstrip import Instant, Picture, animation, draw, gif
from td3_driver.evaluation.policies import Pursuit
from td3_driver.world.simulation import Simulation

_ANIMATION_EVERY = 2  # of the pictures: browsers play animations of few pictures a second better
_MAX_ANIMATION_BYTES = 8_000_000


def pictures(world: Simulation, seed: int) -> Iterator[Picture]:
    """A picture for each tick of an endless drive, without the resets between routes.

    Args:
        world: the world to drive in.
        seed: seed by which the routes are drawn.
    """
    driving = load_configuration("default").driving
    config = replace(driving, regulations=world.config.lights)
    driver = Driver(config, Pursuit(config), None, seed)
    driven_m: list[tuple[float, float]] = []
    for frame in drive(driver, world):
        if driver.episode is None or driver.route is None:
            driven_m.clear()
            continue
        ego = frame.ego
        driven_m.append((ego.pose.x_m, ego.pose.y_m))
        control = frame.command.control
        view, pedal = frame.tick.image, _pedal(control)
        instant = Instant(view, ego.pose, ego.speed_mps, control.steer, pedal)
        yield draw(world.surface, instant, driver.route.points_m, np.array(driven_m), world.others)


def write(shown: Iterable[Picture], count: int, step_s: float, file: Path) -> None:
    """Write pictures that last `step_s` each as a film, in the format of the file's suffix.

    Raises:
        ValueError: the suffix is none of .mp4, .webp and .gif.
        OSError: the file cannot be written.
    """
    if file.suffix == ".mp4":
        _write_video(islice(shown, count), step_s, file)
        return
    some = list(islice(shown, 0, count, _ANIMATION_EVERY))
    every_s = _ANIMATION_EVERY * step_s
    if file.suffix == ".webp":
        file.write_bytes(animation(some, every_s, _MAX_ANIMATION_BYTES))
    elif file.suffix == ".gif":
        file.write_bytes(gif(some, every_s))
    else:
        raise ValueError(f"{file}: a film is a .mp4, .webp or .gif file")


def _write_video(shown: Iterator[Picture], step_s: float, file: Path) -> None:
    first = next(shown)
    size_px = (first.shape[1], first.shape[0])
    # Beside the file, in whose place it comes when it is whole.
    with tempfile.TemporaryDirectory(prefix=f".{file.stem}.", dir=file.parent) as folder:
        whole = Path(folder) / file.name
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(whole), fourcc, round(1.0 / step_s), size_px)
        if not writer.isOpened():
            raise OSError(f"{file}: cannot be written")
        try:
            writer.write(first)
            for picture in shown:
                writer.write(picture)
        finally:
            writer.release()
        whole.replace(file)


def _pedal(control: Control) -> float:
    return control.throttle - control.brake
