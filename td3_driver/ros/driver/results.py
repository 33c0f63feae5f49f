# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation over topics: metrics.json and report.html in the folder `out`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from td3_driver.driving.driver import Driver
from td3_driver.driving.judging.rules import RULES
from td3_driver.driving.roles import Report
from td3_driver.driving.routes.course_routes import CourseRoutes
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control, EgoState
from td3_driver.learner.messages import Loaded
from td3_driver.measures.scoring import Scoring
from td3_driver.reports.results import METRICS, REPORT, Evaluation, write_files
from td3_driver.ros.driver.driver_parameters import DriverParameters


class Results:
    """Gathers the drives of an agent, and writes what came of them.

    Args:
        given: the node's parameters, with `out`.
        driver: drives.
        routes: where its routes come from.
    """

    def __init__(self, given: DriverParameters, driver: Driver, routes: CourseRoutes) -> None:
        self._given = given
        self._scoring = Scoring(driver, routes, given.control_period_s)
        self._wanted_m = routes.length_m
        self._town = ""
        self._notes: tuple[str, ...] = ()
        self._checkpoint: dict[str, object] = {}

    def set_map(self, road_map: RoadMap, notes: Iterable[str]) -> None:
        """Note the map, and what was left out of it and of the routes."""
        self._scoring.set_map(road_map)
        self._town, self._notes = road_map.name, (*road_map.notes, *notes)

    def loaded(self, event: Loaded) -> None:
        """Note which checkpoint drives."""
        if event.path is not None:
            self._checkpoint = {"file": event.path.name, "env_steps": event.env_steps}

    def take(self, ego: EgoState, executed: Control, report: Report) -> None:
        """Take in a frame; see `Scoring.take`."""
        self._scoring.take(ego, executed, report)

    def write(self) -> str:
        """Write the files; return a line that says so.

        Raises:
            OSError: they cannot be written.
        """
        given, drives = self._given, self._scoring.drives
        if not drives:
            return f"no drive has ended: nothing written into {given.out}"
        driven_m = [drive.trace.route_length_m for drive in drives]
        lengths_m = driven_m if self._wanted_m is None else [self._wanted_m]
        evaluation = Evaluation(
            policy=str(self._checkpoint["file"]),
            checkpoint=self._checkpoint,
            town=self._town,
            routes=Path(given.routes).name if given.routes else None,
            notes=(*self._notes, *self._scoring.notes),
            seed=given.seed,
            length_m=(min(lengths_m), max(lengths_m)),
            rules=RULES[given.rules],
        )
        folder = Path(given.out)
        write_files(folder, evaluation.metrics(drives, {}), drives)
        return f"{len(drives)} drives: {folder / METRICS}, {folder / REPORT}"
