# SPDX-License-Identifier: Apache-2.0
"""Checks for faults while driving, which brake if nothing else does."""

from __future__ import annotations

import time

from rclpy.node import Node
from sensor_msgs.msg import Image

from td3_driver.driving.driver import Driver
from td3_driver.learner.client import LearnerClient
from td3_driver.ros import names
from td3_driver.ros.company import Company
from td3_driver.ros.driver.commander import Commander
from td3_driver.ros.driver.conditions import WARN, Conditions
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.driver.intake import Intake

_ANGLE_TOLERANCE_DEG = 1.0


class Watch:
    """Checks, each of which meets or ends its condition."""

    def __init__(
        self,
        given: DriverParameters,
        topics: names.EgoTopics,
        intake: Intake,
        commander: Commander,
        conditions: Conditions,
        node: Node,
    ) -> None:
        self._company = (
            Company(node, "driver", topics.control),
            Company(node, "world", topics.image),
        )
        self._given = given
        self._topics = topics
        self._intake = intake
        self._commander = commander
        self._conditions = conditions
        self._ticks = 1  # ticks from picture to picture
        self._refused_actions = 0
        self._discarded = 0

    def startup(self) -> str:
        """Return why the first frame is no longer waited for, or ""."""
        limit_s = self._given.startup_timeout_s
        waited_s = time.monotonic() - self._intake.frame_s
        if self._commander.frames.frames or not 0.0 < limit_s < waited_s:
            return ""
        topics = " and ".join((*self._topics.images, self._topics.of("odometry")))
        return f"no frame on {topics} in {limit_s:.0f} s; is the bridge running?"

    def world_loss(self) -> str:
        """Return that camera and odometry have been silent for too long, or ""."""
        intake, seen = self._intake, self._commander.frames.frames
        silent_s = time.monotonic() - max(intake.image_s, intake.odometry_s)
        if not seen or silent_s <= self._given.world_timeout_s:
            return ""
        return f"the world is lost: no frame for {silent_s:.1f} s"

    def silence(self) -> bool:
        """Brake if the car drives blindly while the world goes on; return whether it did.

        In lock-step silence means that the world stands still, and a command would be one too
        many; but half a frame, odometry or image alone, needs an answer.
        """
        text = self._half_a_frame() if self._commander.lockstep else self._silence()
        if text:
            self._conditions.hold("silence", f"{text}; braking")
        return bool(text)

    def _half_a_frame(self) -> str:
        intake, limit_s = self._intake, self._given.answer_within_s
        last_s = max(intake.image_s, intake.odometry_s)
        if intake.lone is None or time.monotonic() - last_s <= limit_s:
            return ""
        has_image = isinstance(intake.lone, Image)
        silent = min(intake.images_s, key=intake.images_s.__getitem__)
        missing = self._topics.of("odometry") if has_image else silent
        self._commander.brake_for(intake.lone.header.stamp)
        intake.lone = None
        return f"{missing} silent for {limit_s:g} s"

    def _silence(self) -> str:
        # A camera with a longer period than the limit is not silent.
        limit_s = max(self._given.silence_timeout_s, 2.0 * self._intake.cadence.period_s)
        now_s = time.monotonic()
        if not self._commander.frames.frames or now_s - self._intake.frame_s <= limit_s:
            return ""
        self._commander.brake()
        heard_s = {
            **self._intake.images_s,
            self._topics.of("odometry"): self._intake.odometry_s,
        }
        silent = [topic for topic, last_s in heard_s.items() if now_s - last_s > limit_s]
        if not silent:
            return f"stamps of {' and '.join(heard_s)} do not match"
        return f"{' and '.join(silent)} silent for {limit_s:g} s"

    def camera(self, topic: str, angle_deg: float, wanted_deg: float) -> None:
        """Check that a camera's angle of view is the one that the policy sees through."""
        first = topic == self._topics.image
        condition = "angle_of_view" if first else f"angle_of_view of {topic}"
        if abs(angle_deg - wanted_deg) <= _ANGLE_TOLERANCE_DEG:
            self._conditions.over(condition)
            return
        self._conditions.hold(
            condition,
            f"{topic}: {angle_deg:.0f} degrees wide, but the policy's view is"
            f" {wanted_deg:g}; set fov of the camera in the car's objects file, or of world_node",
        )

    def override(self) -> None:
        """Check whether a human drives."""
        if self._intake.override:
            self._conditions.hold("override", "manual override: a human drives", WARN)
        else:
            self._conditions.over("override")

    def tick(self) -> None:
        """Check that topics of road users and status, once heard, are not silent."""
        intake, topics = self._intake, self._topics
        users, status = intake.go_on(0.5 * self._given.answer_within_s)
        if users:
            text = f"{topics.objects} silent: nobody is taken to be on the road"
            self._conditions.meet("objects", text, WARN)
        elif intake.hears_of_users:
            self._conditions.over("objects")
        if status:
            text = (
                f"{topics.of('vehicle_status')} silent: a command that takes effect a frame late"
            )
            self._conditions.meet("vehicle_status", f"{text} may not be noticed", WARN)
        elif intake.hears_of_status:
            self._conditions.over("vehicle_status")

    def cadence(self) -> str:
        """Return the effect of a camera that does not show every tick, once; else ""."""
        ticks, period_s = self._intake.cadence.ticks, self._intake.cadence.period_s
        if not self._commander.lockstep or ticks == self._ticks or not period_s:
            return ""
        self._ticks = ticks
        return (
            f"{self._topics.image}: a picture every {period_s:.3g} s, in one tick of {ticks}:"
            f" {1.0 / period_s:.3g} decisions a second, each command is held for {ticks} ticks"
        )

    def company(self) -> list[str]:
        """Return other nodes that drive this car or are its world; usually none."""
        return [name for company in self._company for name in company.others()]

    def came_before(self) -> list[str]:
        """Return those of them that were here before us, so that we are one too many."""
        return self.company() if any(each.newcomer for each in self._company) else []

    def publishers(self) -> None:
        """Check whether another node commands the car or publishes its frames."""
        others = self.company()
        self._commander.alone = not others
        if others:
            text = f"this domain also has {', '.join(others)}: the car obeys whoever came last"
            self._conditions.hold("publishers", f"{text}; nothing is learned meanwhile", WARN)
        else:
            self._conditions.over("publishers")

    def actions(self, driver: Driver) -> None:
        """Check that the policy's actions are finite."""
        if driver.refused_actions == self._refused_actions:
            self._conditions.over("action")
        else:
            self._conditions.meet("action", "the policy's action is not finite; braking")
        self._refused_actions = driver.refused_actions

    def updates(self, learner: LearnerClient) -> None:
        """Check that the learner's updates are finite."""
        if learner.discarded > self._discarded:
            text = "an update was not finite and has been discarded"
            self._conditions.meet("update", text, WARN)
        else:
            self._conditions.over("update")
        self._discarded = learner.discarded
        if learner.halted:
            self._conditions.hold(
                "learning",
                "too many updates in a row were not finite: learning has stopped, the last good "
                "weights drive",
            )
