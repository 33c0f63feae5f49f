# SPDX-License-Identifier: Apache-2.0
"""`driver_node` in mode replay: it watches a recording, or another driver, and only proposes.

It has no publisher that moves a car. Its actions go to `~/proposed_control`, stamped with the
frames that they are for; time may stand still, jump back and begin anew.
"""

from __future__ import annotations

import time
from pathlib import Path

from carla_msgs.msg import CarlaEgoVehicleControl, CarlaWorldInfo
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_msgs.msg import Header

from td3_driver.agent.checkpoint import CheckpointError
from td3_driver.driving.decoding import route_of
from td3_driver.driving.reward import Action
from td3_driver.driving.road_map import RoadMap, RoadMapError
from td3_driver.driving.safety import action_of, control_of
from td3_driver.online.shadow import Errors, Shadow
from td3_driver.online.timing import Latencies
from td3_driver.online.trained import Trained, load
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import ImageError, control_message, ego_state, pixels, stamp_ns
from td3_driver.ros.conversions import control_of as control_from
from td3_driver.ros.driver_parameters import DriverParameters, synchronisation
from td3_driver.ros.frames import Sighting
from td3_driver.ros.intake import Intake
from td3_driver.ros.process import each_of, foreseen
from td3_driver.ros.transforms import Transforms
from td3_driver.ros.wires import Wires
from td3_driver.text import shown

STATUS_PERIOD_S = 0.5
ROUTE = "~/route"


class ReplayPilot:
    """As `Pilot`, from configure to cleanup.

    Args:
        node: whose topics these are.
        given: its parameters; `resume` is the checkpoint.

    Raises:
        ForeseenError: the checkpoint cannot be used; one line says why.
    """

    def __init__(self, node: Node, given: DriverParameters) -> None:
        with foreseen():
            trained = _trained(given.resume)
            topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
        self.ready = True
        self.exit_code: int | None = None
        self._node, self._logger = node, node.get_logger()
        self._safety = trained.driving.safety
        self._shadow = Shadow(trained.policy, trained.driving)
        self._errors, self._latencies = Errors(), Latencies(given.control_period_s)
        self._frames = self._proposals = 0
        self._wires = Wires(node)
        self._topics = topics
        wires, default = self._wires, names.VOLATILE_10
        self._proposal = wires.publish(CarlaEgoVehicleControl, "~/proposed_control", default)
        self._status = wires.publish(DiagnosticStatus, "~/replay", default)
        self._diagnostics = wires.publish(DiagnosticArray, "/diagnostics", default)
        wires.listen(CarlaWorldInfo, names.WORLD_INFO, self._on_world_info, names.LATCHED_10)
        wires.listen(PathMessage, ROUTE, self._on_route, default)
        wires.listen(CarlaEgoVehicleControl, topics.control, self._on_control, default)
        self._transforms = Transforms(wires)
        sync, tell = synchronisation(given), self._logger.info
        self._intake = Intake(wires, topics, True, sync, tell, self._on_frame, users=False)
        wires.every(STATUS_PERIOD_S, self._publish_status)

    def activate(self) -> None:
        """Watch."""
        self._intake.begin()

    def deactivate(self) -> None:
        """Be silent."""
        self._intake.active = False

    def end(self, code: int, reason: str) -> None:
        """Leave."""
        if self.exit_code is None:
            self.exit_code = code
            # On lines of their own: rclpy knows a message by its line, and fixes its severity.
            if code:
                self._logger.error(reason)
            else:
                self._logger.info(reason)

    def stop(self) -> None:
        """Asked to end by a signal."""
        self.end(0, "asked to stop")

    @property
    def may_leave(self) -> bool:
        """It is to end."""
        return self.exit_code is not None

    def brake_at_once(self) -> None:
        """It moves no car."""

    def save_and_close(self) -> None:
        """There is nothing to save."""
        self.close()

    def close(self) -> None:
        """Say what came of it, free everything; each, if another fails."""
        each_of(self._publish_status, self._log_values, self._wires.cut)

    def _log_values(self) -> None:
        said = ", ".join(f"{name} {_short(value)}" for name, value in self._values().items())
        self._logger.info(f"replay: {said}")

    def hear_learner(self) -> None:
        """There is no learner."""

    def _on_world_info(self, message: CarlaWorldInfo) -> None:
        try:
            self._shadow.set_map(RoadMap(message.opendrive, shown(message.map_name)))
        except RoadMapError as error:
            self.end(1, f"{names.WORLD_INFO}: {error}")

    def _on_route(self, message: PathMessage) -> None:
        try:
            route = route_of(message)
        except ValueError as error:
            self._logger.warning(f"{ROUTE}: {error}")
            return
        self._propose(message.header, self._shadow.follow(stamp_ns(message.header.stamp), route))

    def _on_frame(self, seen: Sighting) -> None:
        self._frames += 1
        self._transforms.frame(seen.odometry)
        began_s = time.monotonic()
        try:
            picture = pixels(seen.image)
        except ImageError as error:
            self.end(1, f"{self._topics.image}: {error}")
            return
        ego = ego_state(seen.odometry)
        if not ego.plausible:
            self._logger.warning(
                f"{self._topics.of('odometry')}: no place or speed of a car; frame left out",
                throttle_duration_sec=10.0,
            )
            return
        self._shadow.routes_come = self._node.count_publishers(ROUTE) > 0
        action = self._shadow.see(picture, ego)
        self._propose(seen.odometry.header, action)
        if action is not None:
            self._latencies.add(time.monotonic() - began_s)

    def _propose(self, header: Header, action: Action | None) -> None:
        if action is None:
            return
        self._proposals += 1
        self._errors.proposed(stamp_ns(header.stamp), action)
        self._proposal.publish(control_message(control_of(action, self._safety), header.stamp))

    def _on_control(self, message: CarlaEgoVehicleControl) -> None:
        driven = action_of(control_from(message), self._safety)
        self._errors.driven(stamp_ns(message.header.stamp), driven)

    def _values(self) -> dict[str, object]:
        return {
            "frames": self._frames,
            "proposals": self._proposals,
            "compared": self._errors.count,
            "episodes": self._shadow.episodes,
            "time_jumps": self._shadow.time_jumps,
            "latency_ms_p50": self._latencies.percentile_ms(50.0),
            "latency_ms_p99": self._latencies.percentile_ms(99.0),
            **self._errors.values(),
        }

    def _publish_status(self) -> None:
        status = diagnostics.status("td3_driver: replay", "", self._values())
        self._status.publish(status)
        now = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.array(now, status))


def _trained(resume: str) -> Trained:
    if not resume:
        raise ValueError("parameter resume: empty; mode replay needs the checkpoint to ask")
    try:
        return load(Path(resume))
    except CheckpointError as error:
        raise ValueError(str(error)) from error


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
