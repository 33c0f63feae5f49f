# SPDX-License-Identifier: Apache-2.0
"""Takes in frames and answers each with exactly one command.

Nothing here blocks. A frame is answered as soon as the session may decide; in lock-step that is
when the learner, in its own process, has made the updates owed for the frame before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import Twist
from std_msgs.msg import Header

from td3_driver.driving.messages.decoding import ego_state, stamp_ns
from td3_driver.driving.messages.encoding import set_control
from td3_driver.driving.messages.pictures import ImageError, pixels
from td3_driver.driving.reset import PLACE_ABOVE_GROUND_M
from td3_driver.driving.roles import Command, Report
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.online.session import Session
from td3_driver.online.timing import FrameClock, Latencies, Order
from td3_driver.ros import names
from td3_driver.ros.conversions import pose_message
from td3_driver.ros.driver.conditions import WARN, Conditions
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.driver.intake import Sighting
from td3_driver.ros.wires import Wires

# Conditions that a good frame ends.
_OF_FRAMES = ("camera", "odometry", "silence", "world")


@dataclass(frozen=True)
class _Open:
    """A frame that has not been answered yet."""

    stamp: Time
    sent_ns: int  # wall clock at the image's publication, ns
    arrived_s: float
    leaked: bool  # the last command ended the world's wait for this frame's, too
    observed: bool  # else there is nothing to decide on


# Any world waits longer than this for its first command, the bridge and ours a second.
FRESH_S = 0.2
# Frames in a row taken for leaked although the world waited for them, after which its clock is
# taken to differ from ours.
_MISTAKES = 3


def _stale(frame: _Open) -> bool:
    return time.time_ns() - frame.sent_ns > FRESH_S * 1e9


class Commander:
    """Answers frames with commands; see the module.

    Attributes:
        driving: the agent is ready and may drive; else each frame is answered with the brake.
        starting: the agent is still starting; a world in lock-step need not run at full speed.
        braked: the last command was a full brake.
        frames: counts and judges the frames.
        leaked: number of frames left unanswered, as the last command counted for them, too.
        alone: no other node commands the car or publishes its frames; else nothing is stored.
        silent: publish no command, as another driver's car would obey it.
        in_force: the last command.
        latencies: times from an image's publication to its command.
    """

    def __init__(
        self,
        wires: Wires,
        topics: names.EgoTopics,
        given: DriverParameters,
        session: Session,
        conditions: Conditions,
    ) -> None:
        self.driving = False
        self.starting = True
        self.braked = True
        self.alone = True
        self.silent = False
        self.leaked = 0
        self.lockstep = given.stepping == "lockstep"
        period_s = given.control_period_s
        self.frames = FrameClock(0.0 if self.lockstep else period_s)
        self.latencies = Latencies(given.answer_within_s if self.lockstep else period_s)
        self._answer_within_s = given.answer_within_s
        self._topics = topics
        self._session = session
        self._conditions = conditions
        self._clock = wires.node.get_clock()
        self.in_force = FULL_BRAKE
        self._open: _Open | None = None
        self._commanded_ns = 0  # wall clock at the last command, ns
        self._human = False  # a human drove up to the last frame
        self._mistakes = 0  # frames in a row wrongly taken for leaked
        self._beginning = False  # the next frame is the agent's first
        self._control = wires.publish(CarlaEgoVehicleControl, topics.control, names.VOLATILE_10)
        self._set_transform = wires.publish(PoseMessage, topics.set_transform, names.VOLATILE_10)
        self._set_velocity = wires.publish(Twist, topics.set_target_velocity, names.VOLATILE_10)

    @property
    def waiting(self) -> bool:
        """A frame waits for its answer."""
        return self._open is not None

    @property
    def braking(self) -> bool:
        """The agent is not ready, has ended, or has nothing left to do."""
        return not self.driving or self._session.finished

    def let_go(self) -> None:
        """The agent is ready: leave unanswered one frame that has waited for long, here or queued.

        The world may just have stopped waiting for it. Then it would take the command for its next
        frame's, and so on: one frame late for ever, as the bridge ignores stamps. Only one frame,
        in case the world's clock differs from ours.
        """
        self._beginning = self._open is None
        if self._open is not None and _stale(self._open):
            self._open = None

    def take(self, seen: Sighting, usual_s: float) -> Report:
        """Take in one tick, which `answer` answers with a command.

        Args:
            seen: what is known of the tick.
            usual_s: time from picture to picture, s; 0: not known.
        """
        stamp = seen.odometry.header.stamp
        order = self.frames.judge(stamp_ns(stamp), usual_s)
        if order is Order.STALE:
            return Report()
        if order is Order.JUMPED:
            self._conditions.meet("time", "the stamps of the frames jumped", WARN)
            self._session.interrupt()
        elif not self.braking:
            self._conditions.over("time")
        leaked = self._leaks(seen)
        observed = not (leaked or self.braking)  # leaked: the action took effect a tick late
        self._open = _Open(stamp, seen.sent_ns, time.monotonic(), leaked, observed)
        beginning, self._beginning = self._beginning, False
        if beginning and _stale(self._open):
            self._open = None
            return Report()
        if not (observed and self.alone):
            self._session.interrupt()
        return self._observe(seen) if observed else Report()

    def _leaks(self, seen: Sighting) -> bool:
        """Whether the last command ends the world's wait for this frame's, too.

        If a command comes while the bridge still publishes its frame, its event stays set, and it
        does not wait for the next frame's command. A driver that answers that frame, too, is a
        frame late from then on. Leaving one frame unanswered ends this.
        """
        if self._open is not None and self._open.leaked:  # the world went on without an answer
            self._mistakes = 0
            self.leaked += 1
        human, self._human = self._human or seen.human is not None, seen.human is not None
        if not self.lockstep or not self.alone or human or self._mistakes == _MISTAKES:
            return False
        # A world that waits gets the command before it publishes the next tick, and obeys it
        # there.
        overtaken = seen.sent_ns < self._commanded_ns
        disobeyed = seen.executed is not None and not seen.executed.moves_like(self.in_force)
        return overtaken or (disobeyed and self._commanded_ns > 0)

    def _observe(self, seen: Sighting) -> Report:
        """Show the frame to the session; brake if it has no usable picture or odometry."""
        ego = ego_state(seen.odometry)
        pictures = []
        for topic, image in zip(self._topics.images, seen.images, strict=True):
            try:
                pictures.append(pixels(image))
            except ImageError as error:
                return self._blind("camera", f"{topic}: {error}; braking")
        if not ego.finite:
            return self._blind("odometry", f"{self._topics.of('odometry')}: not finite; braking")
        if not ego.plausible:
            where = f"({ego.pose.x_m:g}, {ego.pose.y_m:g}) m, {ego.speed_mps:g} m/s"
            return self._blind("odometry", f"{self._topics.of('odometry')}: {where}; braking")
        self._conditions.over(*_OF_FRAMES)
        picture, *beside = pictures
        return self._session.observe(picture, ego, seen.human, seen.users, seen.lights, beside)

    def _blind(self, condition: str, text: str) -> Report:
        self._conditions.meet(condition, text)
        self._session.interrupt()
        self.brake()
        return Report()

    def answer(self) -> None:
        """Publish the open frame's command, if it is due."""
        if self._open is None or (self._open.leaked and not self._late(self._open)):
            return
        if self._open.leaked:
            self._mistake()
        if not self._open.observed or (self.braking and not self._session.saves_wait):
            # While the learner starts, a world in lock-step need not run at full speed.
            if not (self.starting and self.lockstep) or self._late(self._open):
                self._publish(Command(FULL_BRAKE))
        elif self._session.may_decide or self._too_late(self._open):
            self._publish(self._session.decide())

    def _mistake(self) -> None:
        """Count a frame that was left unanswered but that the world waits for."""
        self._mistakes += 1
        if self._mistakes == _MISTAKES:
            self._conditions.meet(
                "clock",
                "the world waits for answers to frames that seem to be answered already (is its "
                "clock behind ours?); commands that take effect a frame late are not noticed",
                WARN,
            )

    def repeat(self, stamp: Time) -> None:
        """Answer a tick without a picture with the command in force.

        If a frame is still open, the world has stopped waiting for it; its command becomes this
        tick's.
        """
        order = self.frames.judge(stamp_ns(stamp))
        if order is Order.STALE:
            return
        if self._open is not None:
            self._open = replace(self._open, stamp=stamp)
        elif self.braking or order is Order.JUMPED:
            self._publish(Command(FULL_BRAKE), stamp)
        else:
            self._publish(Command(self.in_force), stamp)

    def brake(self) -> None:
        """Publish a full brake for the open frame, or with the time now if there is none."""
        self._publish(Command(FULL_BRAKE))

    def brake_for(self, stamp: Time) -> None:
        """Publish a full brake for a tick of which half is missing; that half is stale then."""
        if self.frames.judge(stamp_ns(stamp), half=True) is not Order.STALE:
            self._publish(Command(FULL_BRAKE), stamp)

    def _late(self, frame: _Open) -> bool:
        return time.monotonic() - frame.arrived_s > self._answer_within_s

    def _too_late(self, frame: _Open) -> bool:
        late = self._late(frame)
        if late:
            self._conditions.meet(
                "late learner",
                "the learner is too slow for this stepping; acting without its newest weights, "
                "so this run will not repeat bit for bit",
                WARN,
            )
        return late

    def _publish(self, command: Command, stamp: Time | None = None) -> None:
        self._session.let_go()
        if self.silent:
            self._open = None
            return
        if command.place is not None:
            self._set_transform.publish(pose_message(command.place, PLACE_ABOVE_GROUND_M))
        if command.halt:
            self._set_velocity.publish(Twist())
        if self._open is not None:
            stamp = self._open.stamp
            self.latencies.add((time.time_ns() - self._open.sent_ns) * 1e-9)
        stamp = stamp or self._clock.now().to_msg()
        self._commanded_ns = time.time_ns()
        message = CarlaEgoVehicleControl(header=Header(stamp=stamp))
        set_control(message, command.control)
        self._control.publish(message)
        self.in_force = command.control
        self.braked = command.control == FULL_BRAKE
        self._open = None
