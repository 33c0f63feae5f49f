# SPDX-License-Identifier: Apache-2.0
"""Measures the drives of a driver whose frames come one by one, whatever world they come from."""

from __future__ import annotations

from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import Episode
from td3_driver.driving.roles import Report
from td3_driver.driving.routes.course_routes import CourseRoutes
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control, EgoState
from td3_driver.measures.drives import Drive
from td3_driver.measures.measuring import Measuring
from td3_driver.measures.metrics import measure


class Scoring:
    """Measures one drive after the other.

    Args:
        driver: drives by `standard`'s limits, and has a judge.
        routes: where its routes come from.
        step_s: time between two frames, s.

    Attributes:
        drives: those that have ended.
        notes: what was not measured, a line each.
    """

    def __init__(self, driver: Driver, routes: CourseRoutes, step_s: float) -> None:
        self.drives: list[Drive] = []
        self.notes: list[str] = []
        self._driver, self._routes, self._step_s = driver, routes, step_s
        self._road_map: RoadMap | None = None
        self._episode: Episode | None = None
        self._measuring: Measuring | None = None
        self._stamp_ns = 0  # of the last frame that was measured
        self._missed = 0

    def set_map(self, road_map: RoadMap) -> None:
        """Name this map with the drives from now on."""
        self._road_map = road_map

    def take(self, ego: EgoState, executed: Control, report: Report) -> None:
        """Take in a frame that the driver has observed.

        Args:
            ego: the car.
            executed: the control that it executed since the frame before.
            report: what the driver reported.
        """
        if self._measuring is not None and report.outcome is not None:
            self._measuring.step(ego, executed, report.outcome)
            frames = round((ego.stamp_ns - self._stamp_ns) * 1e-9 / self._step_s)
            self._missed += max(frames - 1, 0)
            self._stamp_ns = ego.stamp_ns
            if report.ended is not None:
                self._end(self._measuring)
        episode = self._driver.episode
        if episode is None:
            if self._measuring is not None:
                self.notes.append(f"{self._name}: the car left its way unseen; not measured")
            self._measuring = None
        elif episode is not self._episode:
            self._measuring = Measuring(episode, ego, self._step_s)
            self._stamp_ns, self._missed = ego.stamp_ns, 0
        self._episode = episode

    @property
    def _name(self) -> str:
        return f"drive {len(self.drives)}"

    def _end(self, measuring: Measuring) -> None:
        assert self._road_map is not None
        if self._missed:
            each = f"{self._step_s:g} s"
            self.notes.append(f"{self._name}: {self._missed} frames, one each {each}, were missed")
        trace, routes = measuring.trace(), self._routes
        self.drives.append(
            Drive(self._road_map, routes.seed, routes.name, trace, measure(trace))
        )
        self._measuring = None
