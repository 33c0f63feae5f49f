# SPDX-License-Identifier: Apache-2.0
"""`driver_node` in mode replay: it watches a recording, or another driver, and only proposes.

It has no publisher that moves a car. Its actions go to `~/proposed_control`, with the stamps of
their frames. Time may stand still, jump back and restart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from carla_msgs.msg import CarlaCollisionEvent, CarlaEgoVehicleControl, CarlaWorldInfo
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.driving.messages.decoding import control_of as control_from
from td3_driver.driving.messages.decoding import ego_state, route_of, stamp_ns
from td3_driver.driving.messages.encoding import set_control
from td3_driver.driving.messages.pictures import ImageError, pixels
from td3_driver.driving.messages.topics import WORLD_INFO
from td3_driver.driving.reward import Action
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.driving.safety import action_of, control_of
from td3_driver.online.shadow import REMEMBERED, Errors, Shadow
from td3_driver.online.timing import Latencies
from td3_driver.online.trained import Trained, load
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import stamp_of
from td3_driver.ros.driver.driver_parameters import DriverParameters, synchronisation
from td3_driver.ros.driver.intake import Intake, Sighting
from td3_driver.ros.driver.transforms import Transforms
from td3_driver.ros.process import each_of, foreseen
from td3_driver.ros.wires import PlayedWires
from td3_driver.text import shown

STATUS_PERIOD_S = 0.5
LOOK_PERIOD_S = 0.1
# A player's topics appear within seconds; after this time they will not come.
PLAYER_WITHIN_S = 10.0
# After a request to stop, time for messages that have come already; a camera may go on.
QUIET_S, LAST_FRAMES_WITHIN_S = 0.2, 2.0
ROUTE = "~/route"


class PlaybackPilot:
    """The watching driver from configure to cleanup, in place of `Pilot`.

    Args:
        node: the node that has the topics.
        given: its parameters; `resume` names the checkpoint.

    Raises:
        ForeseenError: the checkpoint cannot be used; one line says why.
    """

    def __init__(self, node: Node, given: DriverParameters) -> None:
        with foreseen():
            trained = _trained(given.resume)
            topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
            topics = topics.seen_by(trained.driving.view)
        self.ready = True
        self.exit_code: int | None = None
        self._node, self._logger = node, node.get_logger()
        self._safety = trained.driving.safety
        self._shadow = Shadow(trained.policy, trained.driving)
        self._errors, self._latencies = Errors(), Latencies(given.control_period_s)
        self._frames = self._proposals = 0
        self._world_info: str | None = None
        self._leave_by_s = float("inf")
        self._warn_at_s = float("inf")
        self._players: set[tuple[int, ...]] = set()  # publishers that a player may wait for
        self._wires = PlayedWires(node)
        self._topics = topics
        wires, default = self._wires, names.VOLATILE_10
        self._proposal = wires.publish(CarlaEgoVehicleControl, "~/proposed_control", default)
        self._status = wires.publish(DiagnosticStatus, "~/replay", default)
        self._diagnostics = wires.publish(DiagnosticArray, "/diagnostics", default)
        wires.listen(CarlaWorldInfo, WORLD_INFO, self._on_world_info, names.LATCHED_10)
        wires.listen(CarlaCollisionEvent, topics.of("collision"), self._on_collision, default)
        wires.listen(PathMessage, ROUTE, self._on_route, names.LATCHED_1)
        wires.listen(CarlaEgoVehicleControl, topics.control, self._on_control, default)
        self._transforms = Transforms(wires)
        sync, tell = synchronisation(given), self._logger.info
        self._intake = Intake(wires, topics, True, sync, tell, self._on_frame, users=True)
        wires.every(STATUS_PERIOD_S, self._look)
        wires.every(LOOK_PERIOD_S, self._look_for_player)

    def activate(self) -> None:
        """Start watching."""
        self._intake.begin()
        self._players = set()
        self._warn_at_s = time.monotonic() + PLAYER_WITHIN_S
        self._logger.info(f"waiting for {self._watched}")

    def deactivate(self) -> None:
        """Stop watching."""
        self._intake.active = False

    def end(self, code: int, reason: str) -> None:
        """End with an exit code; `reason` is logged."""
        if self.exit_code is None:
            self.exit_code = code
            self._leave_by_s = time.monotonic() + LAST_FRAMES_WITHIN_S
            # On separate lines: rclpy identifies a message by its line and fixes its severity.
            if code:
                self._logger.error(reason)
            else:
                self._logger.info(reason)

    def stop(self) -> None:
        """End after a signal."""
        self.end(0, "asked to stop")

    @property
    def may_leave(self) -> bool:
        """The node is to end, and has handled the messages that came before."""
        if self.exit_code is None:
            return False
        now_s = time.monotonic()
        return now_s > min(self._leave_by_s, self._intake.image_s + QUIET_S)

    def brake_at_once(self) -> None:
        """Do nothing: it moves no car."""

    def save_and_close(self) -> None:
        """Close: there is nothing to save."""
        self.close()

    def close(self) -> None:
        """Report the results, free everything; each step even if others fail."""
        each_of(self._publish_status, self._log_values, self._wires.cut)

    def _log_values(self) -> None:
        said = ", ".join(f"{name} {_short(value)}" for name, value in self._values().items())
        self._logger.info(f"replay: {said}")
        if self._frames and not self._proposals:
            self._logger.warning(
                f"nothing proposed: no frame came within {REMEMBERED} frames of a route on "
                f"{ROUTE}, or, without such a topic, no lane of {WORLD_INFO} was near"
            )

    @property
    def _watched(self) -> str:
        return " and ".join(self._needed)

    @property
    def _needed(self) -> dict[str, type]:
        """What a frame is made of: the message class by topic."""
        return {**dict.fromkeys(self._topics.images, Image), self._topics.of("odometry"): Odometry}

    def _look_for_player(self) -> None:
        """Log when a player's topics are there: it may wait for that (`--start-paused`)."""
        if not self._intake.active:
            return
        look = self._node.get_publishers_info_by_topic
        found = [look(topic) for topic in self._needed]
        players = {tuple(info.endpoint_gid) for infos in found for info in infos}
        if all(found) and not players <= self._players:
            self._logger.info(f"{names.READY_TO_PLAY} {self._watched}")
            self._players = players
            self._warn_at_s = float("inf")
        elif time.monotonic() > self._warn_at_s:
            self._warn_at_s = float("inf")
            self._logger.warning(absence(self._node, self._needed))

    def _look(self) -> None:
        self._intake.go_on(STATUS_PERIOD_S)
        self._publish_status()

    def hear_learner(self) -> None:
        """Do nothing: there is no learner."""

    def _on_world_info(self, message: CarlaWorldInfo) -> None:
        if message.opendrive == self._world_info:  # the bag begins again
            return
        self._world_info = message.opendrive
        try:
            road_map = RoadMap(message.opendrive, shown(message.map_name))
            self._shadow.set_map(road_map)
            self._intake.lights.set_map(road_map)
        except RoadMapError as error:
            self.end(1, f"{WORLD_INFO}: {error}")

    def _on_route(self, message: PathMessage) -> None:
        try:
            route = route_of(message)
        except ValueError as error:
            self._logger.warning(f"{ROUTE}: {error}")
            return
        for time_ns, action in self._shadow.follow(stamp_ns(message.header.stamp), route):
            self._propose(time_ns, action)

    def _on_collision(self, message: CarlaCollisionEvent) -> None:
        self._shadow.collided(stamp_ns(message.header.stamp))

    def _on_frame(self, seen: Sighting) -> None:
        self._frames += 1
        self._transforms.publish(seen.odometry)
        began_s = time.monotonic()
        pictures = []
        for topic, image in zip(self._topics.images, seen.images, strict=True):
            try:
                pictures.append(pixels(image))
            except ImageError as error:
                self._logger.warning(
                    f"{topic}: {error}; frame left out", throttle_duration_sec=10.0
                )
                return
        picture, *beside = pictures
        ego = ego_state(seen.odometry)
        if not ego.plausible:
            self._logger.warning(
                f"{self._topics.of('odometry')}: no place or speed of a car; frame left out",
                throttle_duration_sec=10.0,
            )
            return
        routes_come = self._node.count_publishers(ROUTE) > 0
        action = self._shadow.see(
            picture, ego, seen.users, seen.lights, beside, routes_come=routes_come
        )
        if action is not None:
            self._propose(ego.stamp_ns, action)
            self._latencies.add(time.monotonic() - began_s)

    def _propose(self, time_ns: int, action: Action) -> None:
        self._proposals += 1
        self._errors.proposed(time_ns, action)
        message = CarlaEgoVehicleControl(header=Header(stamp=stamp_of(time_ns)))
        set_control(message, control_of(action, self._safety))
        self._proposal.publish(message)

    def _on_control(self, message: CarlaEgoVehicleControl) -> None:
        driven = action_of(control_from(message), self._safety)
        self._errors.driven(stamp_ns(message.header.stamp), driven)

    def _values(self) -> dict[str, object]:
        return {
            "frames": self._frames,
            "proposals": self._proposals,
            "outside_episodes": self._shadow.outside_episodes,
            "dropped_frames": self._shadow.dropped_frames,
            "lost_messages": self._wires.lost,
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


def absence(node: Node, wanted: Mapping[str, type]) -> str:
    """Describe topics without a publisher, and what is published of their types instead.

    Args:
        node: the node that looks.
        wanted: the message class by the topic's full name.
    """
    graph = node.get_topic_names_and_types()
    parts = []
    for topic, kind in wanted.items():
        if node.count_publishers(topic):
            continue
        type_name = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
        others = [each for each, types in graph if type_name in types and each != topic]
        there = [each for each in others if node.count_publishers(each)]
        parts.append(f"{topic} (there is {', '.join(there) or f'no {type_name}'})")
    return f"nobody publishes {' and '.join(parts)}; role_name and camera say what is looked for"


def _trained(resume: str) -> Trained:
    if not resume:
        raise ValueError("parameter resume: empty; mode replay needs the checkpoint to ask")
    try:
        return load(Path(resume))
    except CheckpointError as error:
        raise ValueError(str(error)) from error


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
