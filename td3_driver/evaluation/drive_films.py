# SPDX-License-Identifier: Apache-2.0
"""The films of an evaluation's report: the best and the worst drive."""

from __future__ import annotations

from collections.abc import Sequence

from td3_driver.driving.types import Pose
from td3_driver.evaluation import filmstrip
from td3_driver.evaluation.evaluate import SHOT_EVERY_S, FilmedDrive, best_and_worst
from td3_driver.measures import standard
from td3_driver.reports import page
from td3_driver.reports.report import Film

SPEEDUP = 3.0
MAX_ANIMATION_BYTES = 1_400_000


def films(drives: Sequence[FilmedDrive]) -> list[Film]:
    """The films of the best and the worst of some drives."""
    numbers = zip(("best", "worst"), best_and_worst(drives), strict=True)
    return [Film(title, number, _film(drives[number])) for title, number in numbers]


def _film(drive: FilmedDrive) -> str:
    """The end of a drive as a moving picture, for an `<img>`."""
    trace, surface = drive.trace, drive.course.world().surface
    pictures = []
    for shot in drive.shots:
        x_m, y_m, yaw_rad = trace.poses[shot.step].tolist()
        steer, pedal = trace.actions[min(shot.step, len(trace.actions) - 1)].tolist()
        speed_mps = float(trace.speed_mps[shot.step])
        pose = Pose(x_m, y_m, yaw_rad)
        steer *= standard.STEER_UNIT
        instant = filmstrip.Instant(shot.view, pose, speed_mps, steer, pedal)
        driven_m = trace.poses[: shot.step + 1, :2]
        pictures.append(filmstrip.draw(surface, instant, trace.route_m, driven_m, shot.others))
    content = filmstrip.animation(pictures, SHOT_EVERY_S / SPEEDUP, MAX_ANIMATION_BYTES)
    return page.data_uri(content, "image/webp")
