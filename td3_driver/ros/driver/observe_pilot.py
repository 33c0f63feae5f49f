# SPDX-License-Identifier: Apache-2.0
"""`driver_node` in mode observe: it measures whoever drives the car.

It has no publisher that moves a car, and needs no camera. What it saw is measured at the end, see
`measures.observing`.
"""

from __future__ import annotations

import time
from pathlib import Path

from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaEgoVehicleStatus,
    CarlaTrafficLightInfoList,
    CarlaTrafficLightStatusList,
    CarlaWorldInfo,
)
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node

from td3_driver.driving.judging.rules import RULES
from td3_driver.driving.messages.decoding import (
    control_of,
    ego_state,
    impact,
    light_places,
    light_states,
    route_of,
    stamp_ns,
)
from td3_driver.driving.messages.light_matching import SeenLights
from td3_driver.driving.messages.topics import LIGHTS_INFO, LIGHTS_STATUS, ROUTE, WORLD_INFO
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.driving.routes.route_files import FileRoutes, RouteFileError, read_route_file
from td3_driver.measures.observing import Observation, Watched, without_routes
from td3_driver.online.folder import prepare_folder
from td3_driver.reports.results import METRICS, REPORT, Evaluation, write_files
from td3_driver.ros import names
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.process import each_of, foreseen
from td3_driver.ros.road_users import listen_to_road_users
from td3_driver.ros.wires import PlayedWires
from td3_driver.text import shown

# The world does not wait for an observer, and may be many times as fast as real time.
QUEUED = 1000
# After a request to stop, time for messages that have come already; the world may go on.
QUIET_S, LAST_FRAMES_WITHIN_S = 0.2, 2.0


class ObservePilot:
    """The observer from configure to cleanup, in place of `Pilot`.

    Args:
        node: the node that has the topics.
        given: its parameters; `out` is the folder of the results.

    Raises:
        ForeseenError: the parameters cannot be followed; one line says why.
    """

    def __init__(self, node: Node, given: DriverParameters) -> None:
        with foreseen():
            if not given.out:
                raise ValueError("parameter out: empty; mode observe needs a folder for results")
            prepare_folder(Path(given.out), "parameter out:")
            self._file = FileRoutes(read_route_file(given.routes), True) if given.routes else None
            topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
        self.ready = True
        self.exit_code: int | None = None
        self._given, self._logger = given, node.get_logger()
        self._active = False
        self._leave_by_s = float("inf")
        self._odometry_s = time.monotonic()
        self._road_map: RoadMap | None = None
        self._notes: tuple[str, ...] = ()
        self._lights = SeenLights()
        self._watched = Watched()
        self._wires = wires = PlayedWires(node, QUEUED)
        self._odometry = topics.of("odometry")
        default, latched = names.VOLATILE_10, names.LATCHED_10
        # Served in this order: what lights show is told before the odometry of its tick.
        wires.listen(CarlaWorldInfo, WORLD_INFO, self._on_world_info, latched)
        wires.listen(CarlaTrafficLightInfoList, LIGHTS_INFO, self._on_lights_info, latched)
        wires.listen(CarlaTrafficLightStatusList, LIGHTS_STATUS, self._on_lights_status, latched)
        wires.listen(PathMessage, ROUTE, self._on_route, names.LATCHED_1)
        wires.listen(CarlaCollisionEvent, topics.of("collision"), self._on_collision, default)
        listen_to_road_users(wires, topics.objects, self._on_users, default)
        status = topics.of("vehicle_status")
        wires.listen(CarlaEgoVehicleStatus, status, self._on_status, default)
        wires.listen(Odometry, self._odometry, self._on_odometry, default)

    def activate(self) -> None:
        """Start watching."""
        self._active = True
        self._logger.info(f"watching {self._odometry}")

    def deactivate(self) -> None:
        """Stop watching."""
        self._active = False

    def end(self, code: int, reason: str) -> None:
        """End with an exit code; `reason` is logged."""
        if self.exit_code is not None:
            return
        self.exit_code = code
        self._leave_by_s = time.monotonic() + LAST_FRAMES_WITHIN_S
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
        return time.monotonic() > min(self._leave_by_s, self._odometry_s + QUIET_S)

    def hear_learner(self) -> None:
        """Do nothing: there is no learner."""

    def brake_at_once(self) -> None:
        """Do nothing: it moves no car."""

    def save_and_close(self) -> None:
        """Close: all is written then."""
        self.close()

    def close(self) -> None:
        """Write the results, free everything; each step even if others fail."""
        each_of(self._write, self._wires.cut)

    def _on_world_info(self, message: CarlaWorldInfo) -> None:
        try:
            road_map = RoadMap(message.opendrive, shown(message.map_name))
            planned = None if self._file is None else self._file.on(road_map)
        except RoadMapError as error:
            self.end(1, f"{WORLD_INFO}: {error}")
        except RouteFileError as error:
            self.end(1, str(error))
        else:
            self._road_map = road_map
            self._lights.set_map(road_map)
            self._notes = road_map.notes + (planned.notes if planned else ())
            for note in self._notes:
                self._logger.warning(note)

    def _on_lights_info(self, message: CarlaTrafficLightInfoList) -> None:
        self._lights.place(light_places(message))

    def _on_lights_status(self, message: CarlaTrafficLightStatusList) -> None:
        self._lights.show(light_states(message))

    def _on_route(self, message: PathMessage) -> None:
        try:
            self._watched.routes[stamp_ns(message.header.stamp)] = route_of(message)
        except ValueError as error:
            self._logger.warning(f"{ROUTE}: {error}")

    def _on_collision(self, message: CarlaCollisionEvent) -> None:
        if self._active:
            told = stamp_ns(message.header.stamp), impact(message)
            self._watched.impacts.append(told)

    def _on_users(self, stamp: int, users: RoadUsers) -> None:
        if self._active:
            self._watched.users[stamp] = users

    def _on_status(self, message: CarlaEgoVehicleStatus) -> None:
        if self._active and (control := control_of(message.control)).finite:
            self._watched.executed[stamp_ns(message.header.stamp)] = control

    def _on_odometry(self, message: Odometry) -> None:
        self._odometry_s = time.monotonic()
        ego = ego_state(message)
        if not self._active or self.exit_code is not None:
            return
        if not ego.plausible:
            self._logger.warning(
                f"{self._odometry}: no place or speed of a car; left out",
                throttle_duration_sec=10.0,
            )
        elif ego.stamp_ns in self._watched.cars:
            self.end(1, f"{self._odometry}: time has begun anew; what came before is measured")
        else:
            self._watched.cars[ego.stamp_ns] = ego
            self._watched.lights[ego.stamp_ns] = self._lights.shown

    def _write(self) -> None:
        """Measure what was seen, and write the results."""
        given, road_map = self._given, self._road_map
        if road_map is None or not self._watched.cars:
            lacking = WORLD_INFO if road_map is None else self._odometry
            self._logger.warning(f"nothing came on {lacking}: nothing written into {given.out}")
            return
        self._logger.info(f"measuring {len(self._watched.cars)} frames")
        planned = () if self._file is None else self._file.on(road_map).routes
        rules, step_s = RULES[given.rules], given.control_period_s
        seen = Observation(self._watched, road_map, rules, step_s, planned)
        if not seen.drives:
            self._logger.warning(
                f"{len(self._watched.cars)} frames, and no drive among them: nothing written into"
                f" {given.out}"
            )
            return
        lengths_m = [drive.trace.route_length_m for drive in seen.drives]
        evaluation = Evaluation(
            policy=f"driver of {given.role_name}",
            checkpoint=None,
            town=road_map.name,
            routes=Path(given.routes).name if given.routes else None,
            notes=(*self._notes, *seen.notes),
            seed=None,
            length_m=(min(lengths_m), max(lengths_m)),
            rules=rules,
        )
        metrics = evaluation.metrics(seen.drives, {})
        if not seen.routes_known:
            metrics = without_routes(metrics)
        folder = Path(given.out)
        try:
            write_files(folder, metrics, seen.drives)
        except OSError as error:
            self.exit_code = 1
            self._logger.error(f"parameter out: {error}")
        else:
            said = f"{len(seen.drives)} drives: {folder / METRICS}, {folder / REPORT}"
            self._logger.info(said)
