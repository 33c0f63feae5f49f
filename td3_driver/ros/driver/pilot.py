# SPDX-License-Identifier: Apache-2.0
"""A configured driver: its run, its topics, and its reactions when something is missing."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from carla_msgs.msg import CarlaCollisionEvent, CarlaWorldInfo
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from td3_driver.driving.messages.decoding import (
    angle_of_view_deg,
    ego_state,
    impact,
    stamp_ns,
)
from td3_driver.driving.messages.topics import WORLD_INFO
from td3_driver.driving.routes.course_routes import CourseRoutes
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.driving.routes.route_files import RouteFileError
from td3_driver.driving.routes.routing import NoRouteError
from td3_driver.learner.client import Serve
from td3_driver.learner.messages import Loaded, Lost, Refused, Saved, Trained
from td3_driver.online.run import Run
from td3_driver.online.run_folder import point_newest
from td3_driver.ros import names
from td3_driver.ros.company import refusal
from td3_driver.ros.driver.checkpoint_services import CheckpointServices
from td3_driver.ros.driver.commander import Commander
from td3_driver.ros.driver.conditions import Conditions
from td3_driver.ros.driver.driver_parameters import DriverParameters, run_config, synchronisation
from td3_driver.ros.driver.intake import Intake, Sighting
from td3_driver.ros.driver.reports import Reports
from td3_driver.ros.driver.watch import Watch
from td3_driver.ros.process import each_of, foreseen
from td3_driver.ros.wires import Wires
from td3_driver.text import shown

if TYPE_CHECKING:
    from td3_driver.ros.driver.results import Results

STATUS_PERIOD_S = 0.5
WATCH_PERIOD_S = 0.1
LAST_SAVE_WITHIN_S = 1.5


class Pilot:
    """The driver from configure to cleanup.

    Args:
        node: the node that has the topics and services.
        given: its parameters.
        serve: what the learner's process does, if it is not to learn there.

    Attributes:
        ready: the agent is loaded.
        exit_code: exit code with which the run is to end; None while it goes on.

    Raises:
        ForeseenError: the parameters cannot be followed; one line says why.
    """

    def __init__(
        self, node: Node, given: DriverParameters, serve: Serve | None = None
    ) -> None:
        self.given = given
        self.ready = False
        self.exit_code: int | None = None
        self._leave_by_s = float("inf")
        self._logger = node.get_logger()
        self._wires = Wires(node)
        with foreseen():
            self._topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
            config = run_config(given)
            if serve is not None:
                config = config.served_by(serve)
            self._topics = self._topics.seen_by(config.configuration.driving.view)
            self._folder = config.session.run
            self._run = Run(config, self._wires.bell(self.hear_learner).trigger)
        self._driver, self._learner = self._run.driver, self._run.learner
        self._routes = config.routes
        self._view = config.configuration.driving.view
        self._results: Results | None = None
        if isinstance(config.routes, CourseRoutes):
            # Imported here: a report's matplotlib takes a second, which who learns would wait for.
            from td3_driver.ros.driver.results import Results

            self._results = Results(given, self._driver, config.routes)
        if self._folder is not None:
            self._logger.info(f"the run's folder is {self._folder.path}")
            if note := point_newest(self._folder.path):
                self._logger.warning(note)
        self.session = self._run.session
        self._conditions = Conditions(node.get_logger())
        self._commander = Commander(
            self._wires, self._topics, given, self.session, self._conditions
        )
        self._reports = Reports(self._wires, self._run, self._commander, self._conditions)
        self._listen()
        self._watch = Watch(
            given, self._topics, self._intake, self._commander, self._conditions, node
        )
        CheckpointServices(self._wires, self.session)
        self._wires.every(WATCH_PERIOD_S, self._look)
        self._wires.every(STATUS_PERIOD_S, self._status)

    # Its life.

    def activate(self) -> None:
        """Start driving."""
        self._intake.begin()
        self._may_drive()

    def deactivate(self) -> None:
        """Brake once, then publish no commands."""
        self._intake.active = False
        self._commander.driving = False
        self.session.interrupt()
        self._commander.brake()

    def end(self, code: int, reason: str) -> None:
        """Brake from now on, save, and leave when that is done; `reason` is logged."""
        if self.exit_code is not None:
            return
        self.exit_code = code
        if code:
            self._logger.error(reason)
        else:
            self._logger.info(reason)
        self._may_drive()
        if self._learns and not self.session.finished:
            self.session.save_latest()
            self._leave_by_s = time.monotonic() + LAST_SAVE_WITHIN_S

    def stop(self) -> None:
        """End the run after a signal, without waiting for a learner that hangs."""
        self.end(0, "asked to stop")
        self._leave_by_s = min(self._leave_by_s, time.monotonic() + LAST_SAVE_WITHIN_S)

    @property
    def _learns(self) -> bool:
        """The learner may have work to finish: the agent is loaded, and learns."""
        return self.ready and self.session.learning

    @property
    def may_leave(self) -> bool:
        """The run is to end, and nothing is left to do."""
        if self.exit_code is None:
            return False
        done = self._learner.idle or not self._learns
        return (done and not self._commander.waiting) or time.monotonic() > self._leave_by_s

    def brake_at_once(self) -> None:
        """Brake after an error, unless another driver may be driving."""
        if self._intake.active or not self._commander.braked:
            self._commander.brake()

    def save_and_close(self) -> None:
        """Save and free everything, at cleanup or after an error."""
        each_of(self._save, self.close)

    def _save(self) -> None:
        if self._learns:
            self.session.save_latest()

    def close(self) -> None:
        """Brake, report, end the learner, free everything; each step even if others fail."""
        each_of(
            self._brake_if_moving,
            self._reports.status,
            self._reports.wait_for_listeners,
            self._reports.log_results,
            self._write_results,
            self._reports.log_timing,
            self._end_learner,
            self._wires.cut,
        )

    def _write_results(self) -> None:
        """Write the files of an evaluation, if it has any."""
        if self._results is None:
            return
        try:
            self._logger.info(self._results.write())
        except OSError as error:
            self.exit_code = 1
            self._logger.error(f"parameter out: {error}")

    def _brake_if_moving(self) -> None:
        if not self._commander.braked:
            self._commander.brake()

    def _end_learner(self) -> None:
        """End the learner, after its requests unless it hangs."""
        self.session.let_go()
        if self._learns and self._learner.reachable:
            self._learner.stop()
        else:
            self._learner.stop(within_s=0.0)
        while (event := self._learner.poll()) is not None:
            if isinstance(event, Saved):
                self._reports.saved(event)
        if reason := self.session.unsaved:
            self.exit_code = 1
            self._logger.error(f"what was learned last is not saved: {reason}")
        if self._folder is not None:
            self._folder.release()

    # What comes in.

    def _listen(self) -> None:
        wires, default = self._wires, names.VOLATILE_10
        # Served in this order, so that a collision counts for its own frame.
        wires.listen(CarlaWorldInfo, WORLD_INFO, self._on_world_info, names.LATCHED_10)
        for image, info in zip(self._topics.images, self._topics.camera_infos, strict=True):
            wires.listen(CameraInfo, info, partial(self._on_camera_info, image), default)
        collision = self._topics.of("collision")
        wires.listen(CarlaCollisionEvent, collision, self._on_collision, default)
        lockstep = self.given.stepping == "lockstep"
        sync, tell = synchronisation(self.given), self._logger.info
        self._intake = Intake(
            wires,
            self._topics,
            lockstep,
            sync,
            tell,
            self._on_frame,
            users=True,
            obeyed=True,
            on_bare_tick=self._commander.repeat,
        )

    def _on_frame(self, seen: Sighting) -> None:
        executed = self._commander.in_force if seen.executed is None else seen.executed
        try:
            report = self._commander.take(seen, self._intake.cadence.period_s)
        except NoRouteError as error:
            self.end(1, f"{WORLD_INFO}: {error}")
            return
        # Before the command, which lets the world go on: a recording has the route with its frame.
        self._reports.route(seen.odometry.header)
        self.hear_learner()
        if report.warning:
            self._logger.warning(report.warning)
        self._reports.frame(report, seen.odometry)
        if self._results is not None:
            self._results.take(ego_state(seen.odometry), executed, report)

    def _on_camera_info(self, image: str, message: CameraInfo) -> None:
        self._watch.camera(image, angle_of_view_deg(message), self._view.fov_deg)

    def _on_collision(self, message: CarlaCollisionEvent) -> None:
        self._driver.collided(stamp_ns(message.header.stamp), impact(message))

    def _on_world_info(self, message: CarlaWorldInfo) -> None:
        try:
            road_map = RoadMap(message.opendrive, shown(message.map_name))
            lanes = len(road_map.lane_graph)  # takes 0.3 s for a town: not while a frame waits
            planned = None if self._routes is None else self._routes.on(road_map)
            self._driver.set_map(road_map)
            self._intake.lights.set_map(road_map)
            if self._results is not None:
                self._results.set_map(road_map, planned.notes if planned else ())
        except RoadMapError as error:
            self.end(1, f"{WORLD_INFO}: {error}")
        except RouteFileError as error:
            self.end(1, str(error))
        else:
            self._logger.info(f"driving in {road_map.name}, {lanes} lanes")
            for note in road_map.notes + (planned.notes if planned else ()):
                self._logger.warning(note)

    # The learner.

    def hear_learner(self) -> None:
        """Handle the learner's events; answer the waiting frame, if that is due."""
        while True:
            was_reachable = self._learner.reachable
            if (event := self._learner.poll()) is None:
                break
            match event:
                case Trained():
                    self.session.trained(event)
                    self._watch.updates(self._learner)
                case Loaded():
                    self.session.take_over(event)
                    self._reports.loaded(event)
                    if self._results is not None:
                        self._results.loaded(event)
                    self._conditions.over("learning", "update")
                    self.ready = self._run.greeted(event)
                case Saved():
                    self.session.saved(event)
                    self._reports.saved(event)
                case Refused():
                    self._on_refused(event)
                case Lost():
                    self._on_learner_loss(event.reason)
            if not was_reachable and self._learner.reachable:
                self._conditions.over("learner")
        self._may_drive()
        self._commander.answer()

    def _on_refused(self, event: Refused) -> None:
        if not self.ready:  # there is no agent to drive with
            self.end(1, event.reason)
        else:
            self._logger.error(event.reason)

    def _may_drive(self) -> None:
        """Update whether the agent may drive, after anything that matters for it has changed."""
        reachable, goes_on = self._learner.reachable, self.exit_code is None
        without_learner = reachable or self.given.on_loss == "drive"
        self._commander.driving = (
            self.ready and goes_on and self._intake.active and without_learner
        )
        if self._commander.starting and self.ready and self._commander.lockstep:
            self._commander.let_go()
        self._commander.starting = not self.ready and goes_on and reachable

    def _on_learner_loss(self, reason: str) -> None:
        if self.exit_code is not None:  # a missing save is reported at the end
            return
        if self.given.on_loss == "exit" or not self.ready:  # no agent to drive or to wait for
            self.end(1, reason)
        elif self.given.on_loss == "drive":
            text = f"{reason}; driving on with the last weights, learning nothing"
            self._conditions.meet("learner", text)
        else:
            self._conditions.meet("learner", f"{reason}; braking and waiting")

    # Checks on timers.

    def _look(self) -> None:
        if self.exit_code is None and (others := self._watch.came_before()):
            self._commander.silent = True
            self.end(1, refusal(others))
        self._watch_learner()
        self.hear_learner()
        if self.exit_code is not None or self._commander.waiting or not self._intake.active:
            return
        if self.session.finished:
            self._complete()
        elif reason := self._watch.startup():
            self.end(1, reason)
        else:
            self._watch_world()

    def _watch_learner(self) -> None:
        learner = self._learner
        if not self.ready or not learner.reachable or self.session.finished:  # a slow last save
            return
        if learner.silent_s > self.given.learner_timeout_s:
            reason = f"the learner has not answered for {learner.silent_s:.0f} s"
            learner.hang(reason)
            self._on_learner_loss(reason)

    def _complete(self) -> None:
        if self.session.learning and not self._learner.reachable:
            self.end(1, "all steps are driven, but the learner that would save them is lost")
        else:
            self.end(0, "the run is complete")

    def _watch_world(self) -> None:
        self._watch.override()
        self._watch.tick()
        if loss := self._watch.cadence():
            self._logger.warning(loss)
        if self._watch.silence():
            self.session.interrupt()
        reason = self._watch.world_loss()
        if reason and self.given.on_loss == "exit":
            self.end(1, reason)
        elif reason:
            self._conditions.hold("world", f"{reason}; braking and waiting")

    def _status(self) -> None:
        if self.exit_code is None:  # else this may be the reason, which is logged
            self._watch.publishers()
        self._watch.actions(self._driver)
        self._reports.status()
