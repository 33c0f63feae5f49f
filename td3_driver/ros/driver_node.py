# SPDX-License-Identifier: Apache-2.0
"""The driving node: one camera frame and one odometry in, exactly one control command out.

Nothing here waits. A frame is answered as soon as the session may decide; in lock-step that is
when the learner, in its own process, has made the updates owed. Its events wake this node.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import torch
from carla_msgs.msg import CarlaCollisionEvent, CarlaEgoVehicleControl, CarlaWorldInfo
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from td3_driver.agent.messages import Event, Loaded, Lost, Refused, Saved
from td3_driver.driving.driver import Command
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.observation import grey_frame
from td3_driver.driving.road_map import RoadMap, RoadMapError
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.online.run import Run
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import (
    PLACE_ABOVE_GROUND_M,
    ImageError,
    control_message,
    ego_state,
    pixels,
    pose_message,
    stamp_ns,
)
from td3_driver.ros.driver_parameters import DriverParameters, run_config
from td3_driver.ros.frames import FrameMatcher
from td3_driver.ros.parameters import declare
from td3_driver.ros.process import Stop, run_node

STATUS_PERIOD_S = 0.5
WATCH_PERIOD_S = 0.1
LAST_SAVE_WITHIN_S = 1.5


class DriverNode(Node):
    """Wires topics, services and timers to a training session."""

    def __init__(self) -> None:
        super().__init__("td3_driver")
        self.parameters = declare(self, DriverParameters)
        given = self.parameters
        self._topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
        self._learner_news = self.create_guard_condition(self._on_learner)
        self._run = Run(run_config(given), self._learner_news.trigger)
        self._session = self._run.session
        self._lockstep = given.stepping == "lockstep"
        self._matcher = FrameMatcher()
        self._unanswered: Odometry | None = None
        self._frame_s = time.monotonic()
        self._frames = 0
        self._ready = False  # there is an agent to drive with
        self._braked = True  # the last command was a full brake
        self._exit_code: int | None = None
        self._leave_by_s = float("inf")
        self._rates = diagnostics.Rates()
        self._make_publishers()
        self._make_subscriptions()

    def spin(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        """Serve until the run is over, something is lost, or a signal came; the exit code."""
        while not self._may_leave():
            if stop.requested and self._exit_code is None:
                self._end(0, "asked to stop")
            executor.spin_once(timeout_sec=0.1)
        if not self._braked:
            self._publish(Command(FULL_BRAKE))
        self._publish_status()
        self._learner_status.wait_for_all_acked(Duration(seconds=1))
        self._run.learner.stop()
        return self._exit_code or 0

    # What comes in.

    def _on_image(self, message: Image) -> None:
        if pair := self._matcher.image(message):
            self._on_frame(*pair)

    def _on_odometry(self, message: Odometry) -> None:
        if pair := self._matcher.odometry(message):
            self._on_frame(*pair)

    def _on_frame(self, image: Image, odometry: Odometry) -> None:
        self._frame_s = time.monotonic()
        self._frames += 1
        self._unanswered = odometry
        if not self._braking():
            try:
                frame = grey_frame(pixels(image))
            except ImageError as error:
                self._end(1, f"{self._topics.image}: {error}")
            else:
                report = self._session.observe(frame, ego_state(odometry))
                if report.warning:
                    self.get_logger().warning(report.warning)
                if report.ended is not None:
                    self._publish_episode(report.ended)
        self._answer_when_ready()

    def _on_collision(self, message: CarlaCollisionEvent) -> None:
        self._session.driver.collided(stamp_ns(message.header.stamp))

    def _on_world_info(self, message: CarlaWorldInfo) -> None:
        try:
            self._session.driver.set_map(RoadMap(message.opendrive, message.map_name))
        except RoadMapError as error:
            self._end(1, f"{names.WORLD_INFO}: {error}")

    # What goes out: one command per frame.

    def _answer_when_ready(self) -> None:
        if self._unanswered is None:
            return
        if self._braking():
            # While the learner starts, a world in lock-step need not run as fast as it can.
            starting = not self._ready and self._exit_code is None and self._lockstep
            if not starting or self._late():
                self._publish(Command(FULL_BRAKE))
        elif self._session.may_decide or self._too_late():
            self._publish(self._session.decide())

    def _braking(self) -> bool:
        """There is no agent yet or any more, or nothing left to do."""
        return not self._ready or self._exit_code is not None or self._session.finished

    def _late(self) -> bool:
        return time.monotonic() - self._frame_s > self.parameters.answer_within_s

    def _too_late(self) -> bool:
        late = self._late()
        if late:
            self.get_logger().warning(
                "the learner is too slow for this stepping; acting without its newest weights, "
                "so this run will not repeat bit for bit",
                once=True,
            )
        return late

    def _publish(self, command: Command) -> None:
        if command.place is not None:
            self._set_transform.publish(pose_message(command.place, PLACE_ABOVE_GROUND_M))
        if command.halt:
            self._set_target_velocity.publish(Twist())
        now = self.get_clock().now().to_msg()
        stamp = self._unanswered.header.stamp if self._unanswered else now
        self._control.publish(control_message(command.control, stamp))
        self._braked = command.control == FULL_BRAKE
        self._unanswered = None

    # The learner.

    def _on_learner(self) -> None:
        while (event := self._run.learner.poll()) is not None:
            self._session.handle(event)
            match event:
                case Loaded():
                    self._on_loaded(event)
                case Saved():
                    self.get_logger().info(f"saved {event.path} at step {event.env_steps}")
                case Refused():
                    self._on_refused(event)
                case Lost():
                    self._ready = False
                    self._on_loss(event.reason)
        self._answer_when_ready()

    def _on_loaded(self, event: Loaded) -> None:
        if event.path is not None:
            self.get_logger().info(f"resuming at step {event.env_steps} from {event.path}")
        if event.lost:
            refill = f"learning goes on with {self._run.learning_starts} new transitions"
            self.get_logger().warning(f"{event.lost}; {refill}")
        self._ready = self._run.greeted(event)

    def _on_refused(self, event: Refused) -> None:
        if not self._ready or self._session.finished:  # nothing to begin with, or to end with
            self._end(1, event.reason)
            self._exit_code = 1
        else:
            self.get_logger().error(event.reason)

    async def _save_checkpoint(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        answer: Future = Future()
        self._session.save(self._checkpoint_path(), answer.set_result)
        return _told(response, await answer)

    async def _load_checkpoint(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        answer: Future = Future()
        self._session.load(self._checkpoint_path(), answer.set_result)
        return _told(response, await answer)

    def _checkpoint_path(self) -> Path | None:
        given = str(self.get_parameter("checkpoint_path").value)
        return Path(given).resolve() if given else None

    # How it ends.

    def _watch(self) -> None:
        silent_s = time.monotonic() - self._frame_s
        self._answer_when_ready()
        if self._exit_code is not None or self._unanswered is not None:
            return
        if self._session.finished:
            self._end(0, "the run is complete")
        elif self._frames == 0:
            limit_s = self.parameters.startup_timeout_s
            if 0.0 < limit_s < silent_s:
                topics = f"{self._topics.image} and {self._topics.of('odometry')}"
                self._end(1, f"no frame on {topics} in {limit_s:.0f} s; is the bridge running?")
        elif silent_s > self.parameters.world_timeout_s:
            self._on_loss(f"the world is lost: no frame for {silent_s:.1f} s")

    def _on_loss(self, reason: str) -> None:
        if self.parameters.on_loss == "exit":
            self._end(1, reason)
        else:
            self.get_logger().error(f"{reason}; braking and waiting", throttle_duration_sec=10.0)

    def _end(self, code: int, reason: str) -> None:
        """Brake from now on, save what there is, leave when that is done."""
        if self._exit_code is not None:
            return
        self._exit_code = code
        (self.get_logger().error if code else self.get_logger().info)(reason)
        if self._ready and self._session.learning and not self._session.finished:
            self._session.save_latest()
            self._leave_by_s = time.monotonic() + LAST_SAVE_WITHIN_S

    def _may_leave(self) -> bool:
        if self._exit_code is None:
            return False
        done = self._session.idle and self._unanswered is None
        return done or time.monotonic() > self._leave_by_s

    # Wiring and reports.

    def _make_publishers(self) -> None:
        topics, default = self._topics, names.VOLATILE_10
        create = self.create_publisher
        self._control = create(CarlaEgoVehicleControl, topics.control, default)
        self._set_transform = create(PoseMessage, topics.set_transform, default)
        self._set_target_velocity = create(Twist, topics.set_target_velocity, default)
        self._episode_status = create(DiagnosticStatus, "~/episode", default)
        self._learner_status = create(DiagnosticStatus, "~/learner", default)
        self._diagnostics = create(DiagnosticArray, "/diagnostics", default)

    def _make_subscriptions(self) -> None:
        topics, default = self._topics, names.VOLATILE_10
        create = self.create_subscription
        # In this order they are served: a collision counts for its own frame.
        create(CarlaWorldInfo, names.WORLD_INFO, self._on_world_info, names.LATCHED_10)
        create(CarlaCollisionEvent, topics.of("collision"), self._on_collision, default)
        create(Odometry, topics.of("odometry"), self._on_odometry, default)
        create(Image, topics.image, self._on_image, default)
        group = ReentrantCallbackGroup()  # a waiting answer must not keep others out
        serve = self.create_service
        serve(Trigger, "/save_checkpoint", self._save_checkpoint, callback_group=group)
        serve(Trigger, "/load_checkpoint", self._load_checkpoint, callback_group=group)
        self.create_timer(WATCH_PERIOD_S, self._watch)
        self.create_timer(STATUS_PERIOD_S, self._publish_status)

    def _publish_episode(self, ended: EpisodeSummary) -> None:
        self._episode_status.publish(
            diagnostics.status(
                "td3_driver: episode", ended.reason, diagnostics.episode_values(ended)
            )
        )

    def _publish_status(self) -> None:
        values = self._run.measures() | self._rates.update(
            env_steps=self._session.env_steps, updates=self._session.total_it, frames=self._frames
        )
        message = diagnostics.status("td3_driver: learner", "", values)
        self._learner_status.publish(message)
        self._diagnostics.publish(diagnostics.array(self.get_clock().now().to_msg(), message))


def _told(response: Trigger.Response, event: Event) -> Trigger.Response:
    match event:
        case Saved() | Loaded():
            response.success = True
            response.message = f"{event.path} step {event.env_steps}"
        case Refused():
            response.message = event.reason
    return response


def main() -> None:
    """Entry point of `driver_node`."""
    # One thread each: two cores are shared by the world, this node and the learner.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    run_node(DriverNode, lambda node, executor, stop: node.spin(executor, stop))


if __name__ == "__main__":
    main()
