# SPDX-License-Identifier: Apache-2.0
"""Reports for people and monitors: `~/episode`, `~/learner`, `/diagnostics`, and drawings."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.duration import Duration
from std_msgs.msg import Float32MultiArray, Header, MultiArrayDimension

from td3_driver.agent.health import RANGES, complaints
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.roles import Report
from td3_driver.learner.messages import Loaded, Saved
from td3_driver.online import episode_text
from td3_driver.online.run import Run
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import path_message
from td3_driver.ros.driver.commander import Commander
from td3_driver.ros.driver.conditions import WARN, Conditions
from td3_driver.ros.driver.transforms import Transforms
from td3_driver.ros.wires import Wires


class Reports:
    """Publishes the progress of a run; drawings only while somebody subscribes."""

    def __init__(
        self, wires: Wires, run: Run, commander: Commander, conditions: Conditions
    ) -> None:
        self._clock = wires.node.get_clock()
        self._logger = wires.node.get_logger()
        self._run = run
        self._commander = commander
        self._conditions = conditions
        self._rates = diagnostics.Rates()
        self._trajectory: list[tuple[float, float]] = []  # x, y in the last episode, m
        self._drives: list[EpisodeSummary] = []  # episodes of an evaluation
        self._header: Header | None = None  # the newest frame's
        self._begun_ns: int | None = None  # start of the episode whose route is published
        self._transforms = Transforms(wires)
        default, latched = names.VOLATILE_10, names.LATCHED_1
        self._episode = wires.publish(DiagnosticStatus, "~/episode", default)
        self._learner = wires.publish(DiagnosticStatus, "~/learner", default)
        self._diagnostics = wires.publish(DiagnosticArray, "/diagnostics", default)
        self._route = wires.publish(PathMessage, "~/route", latched)
        self._driven = wires.publish(PathMessage, "~/trajectory", default)
        self._reward = wires.publish(Float32MultiArray, "~/reward", default)

    def route(self, header: Header) -> None:
        """Publish the route of an episode that begins with the frame of this header."""
        driver = self._run.driver
        if driver.episode is None:
            self._begun_ns = None
        elif driver.begun_ns != self._begun_ns:
            self._begun_ns = driver.begun_ns
            self._trajectory.clear()
            points = driver.episode.route.points_m.tolist()
            self._route.publish(path_message(points, header))

    def frame(self, report: Report, odometry: Odometry) -> None:
        """Report one frame: its results, and where the car was."""
        self._transforms.publish(odometry)
        if self._run.driver.episode is not None:
            position = odometry.pose.pose.position
            self._trajectory.append((position.x, position.y))
        self._header = odometry.header
        if report.outcome is not None and self._reward.get_subscription_count():
            self._publish_reward({"reward": report.outcome.reward, **report.outcome.terms})
        if report.ended is not None:
            self._publish_episode(report.ended)
            self._log_episode(report.ended)

    def loaded(self, event: Loaded) -> None:
        """Report that the learner's agent is loaded."""
        if event.path is not None:
            what = "resuming at" if self._run.session.learning else "driving with the agent of"
            place = f"step {event.env_steps} from {event.path}"
            self._logger.info(f"{what} {place}; {event.settings}")
        if event.lost:
            refill = f"learning goes on with {self._run.learning_starts} new transitions"
            self._logger.warning(f"{event.lost}; {refill}")

    def saved(self, event: Saved) -> None:
        """Report that a checkpoint was written."""
        self._logger.info(f"saved {event.path} at step {event.env_steps}")

    def status(self) -> None:
        """Publish the run's progress and the node's condition."""
        session = self._run.session
        frames = self._commander.frames.frames
        values = self._run.measures() | self._rates.update(
            env_steps=session.env_steps, updates=self._run.learner.total_it, frames=frames
        )
        self._watch_health()
        learner = diagnostics.status("td3_driver: learner", "", values)
        self._learner.publish(learner)
        now = self._clock.now().to_msg()
        self._diagnostics.publish(diagnostics.array(now, *self._statuses(values)))
        if self._header is not None and self._driven.get_subscription_count():
            self._driven.publish(path_message(self._trajectory[::5], self._header))

    def wait_for_listeners(self) -> None:
        """Wait until the last status has reached its subscribers."""
        self._learner.wait_for_all_acked(Duration(seconds=1))

    def _watch_health(self) -> None:
        found = complaints(self._run.learner.losses)
        for name in RANGES:
            if name in found:
                self._conditions.hold(name, f"learning: {found[name]}", WARN)
            else:
                self._conditions.over(name)

    def _statuses(self, values: dict[str, object]) -> list[DiagnosticStatus]:
        session = self._run.session
        checkpoint = str(session.last_checkpoint or "none yet")
        age = {"age_s": _age_s(session.saved_s)}
        return [
            self._safety(),
            self._frames(values["frames_per_s"]),
            self._learning(values),
            diagnostics.status("td3_driver: checkpoint", checkpoint, age),
        ]

    def log_results(self) -> None:
        """Log the results of an evaluation."""
        if self._drives:
            self._logger.info(f"results:\n{episode_text.table(self._drives)}")

    def log_timing(self) -> None:
        """Log a summary of how frames were answered."""
        frames, latencies = self._commander.frames, self._commander.latencies
        if frames.frames:
            self._logger.info(
                f"{frames.frames} frames, {frames.missed} missed, {frames.stale} stale, "
                f"{self._commander.leaked} leaked; latency "
                f"p50 {latencies.percentile_ms(50):.1f} ms, p99 {latencies.percentile_ms(99):.1f} "
                f"ms, {latencies.late} late"
            )

    def _safety(self) -> DiagnosticStatus:
        conditions, commander = self._conditions, self._commander
        return diagnostics.status(
            "td3_driver: safety",
            conditions.text or ("braking" if commander.braking else "driving"),
            {"braked": commander.braked, **conditions.counts},
            level=conditions.level,
        )

    def _frames(self, frames_per_s: object) -> DiagnosticStatus:
        frames, latencies = self._commander.frames, self._commander.latencies
        values = {
            "frames": frames.frames,
            "frames_per_s": frames_per_s,
            "latency_ms_p50": latencies.percentile_ms(50.0),
            "latency_ms_p99": latencies.percentile_ms(99.0),
            "deadline_misses": latencies.late,
            "missed_frames": frames.missed,
            "stale_frames": frames.stale,
            "leaked_frames": self._commander.leaked,
            "time_jumps": frames.jumps,
        }
        return diagnostics.status("td3_driver: frames", "", values)

    def _learning(self, values: dict[str, object]) -> DiagnosticStatus:
        learner = self._run.learner
        message = "halted" if learner.halted else "" if learner.reachable else "not reachable"
        more = {
            "silent_s": learner.silent_s,
            "weight_age_s": _age_s(learner.trained_s),
            "updates_discarded": learner.discarded,
            "requests_dropped": learner.unsaid,
        }
        level = DiagnosticStatus.ERROR if message else DiagnosticStatus.OK
        return diagnostics.status("td3_driver: learner", message, {**values, **more}, level=level)

    def _publish_episode(self, ended: EpisodeSummary) -> None:
        self._episode.publish(
            diagnostics.status(
                "td3_driver: episode", ended.reason, diagnostics.episode_values(ended)
            )
        )

    def _log_episode(self, ended: EpisodeSummary) -> None:
        session = self._run.session
        if session.learning:
            self._logger.info(f"episode {ended.number + 1}: {episode_text.line(ended)}")
            return
        self._drives.append(ended)
        total = f" of {session.episodes}" if session.episodes else ""
        self._logger.info(f"drive {len(self._drives)}{total}: {episode_text.line(ended)}")

    def _publish_reward(self, terms: dict[str, float]) -> None:
        """Publish the reward and its terms; the dimension's label names them in order."""
        message = Float32MultiArray(data=list(terms.values()))
        message.layout.dim = [
            MultiArrayDimension(label=",".join(terms), size=len(terms), stride=len(terms))
        ]
        self._reward.publish(message)


def _age_s(since_s: float | None) -> float | str:
    return "never" if since_s is None else time.monotonic() - since_s
