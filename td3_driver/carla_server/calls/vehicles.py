# SPDX-License-Identifier: Apache-2.0
"""Calls about vehicles: what they are made of, and their lights."""

from __future__ import annotations

from typing import Any

from td3_driver.carla_server import physics_control
from td3_driver.carla_server.actors import CrowdActor, VehicleActor
from td3_driver.carla_server.physics_control import VehicleTelemetry
from td3_driver.carla_server.server import Server
from td3_driver.carla_server.structures import CallError, UInt32, VehiclePhysicsControl


class VehicleCalls:
    """Calls of `carla.Vehicle`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get_physics_control(self, actor_id: int) -> VehiclePhysicsControl:
        """What the vehicle is made of, as its clients have changed it."""
        vehicle = self._vehicle(actor_id)
        if isinstance(vehicle, CrowdActor):
            return physics_control.of(vehicle.pose, vehicle.body)
        return physics_control.of(vehicle.pose, vehicle.car.body, vehicle.physics)

    def apply_physics_control(self, actor_id: int, control: VehiclePhysicsControl) -> None:
        """Kept, and without effect: every car drives by the same model."""
        self._car(actor_id).apply_physics(control)

    def get_telemetry_data(self, actor_id: int) -> VehicleTelemetry:
        """What the vehicle's wheels and engine do."""
        vehicle = self._car(actor_id)
        return physics_control.telemetry(vehicle.control, vehicle.velocity, vehicle.car.body)

    def get_vehicle_light_state(self, actor_id: int) -> list[int]:
        """The lights that are on, as bits."""
        vehicle = self._vehicle(actor_id)
        return [0 if isinstance(vehicle, CrowdActor) else vehicle.light_state]

    def set_vehicle_light_state(self, actor_id: int, state: list[UInt32]) -> None:
        """Kept, and not drawn."""
        self._car(actor_id).light_state = state[0] if state else 0

    def get_vehicle_light_states(self) -> list[list[int]]:
        """Of all vehicles."""
        actors = self._server.episode.actors.values()
        return [[a.id, a.light_state] for a in actors if isinstance(a, VehicleActor)]

    def set_wheel_steer_direction(self, actor_id: int, wheel: Any, angle: float) -> None:
        """Without effect: it only turns the picture of a wheel."""
        self._car(actor_id)

    def get_wheel_steer_angle(self, actor_id: int, wheel: Any) -> float:
        """How far the front wheels are turned, degrees."""
        return physics_control.wheel_angle_deg(self._car(actor_id).control)

    def open_vehicle_door(self, actor_id: int, door: Any) -> None:
        """Without effect."""
        self._car(actor_id)

    def close_vehicle_door(self, actor_id: int, door: Any) -> None:
        """Without effect."""
        self._car(actor_id)

    def show_vehicle_debug_telemetry(self, actor_id: int, enabled: bool) -> None:
        """Without effect: nobody watches."""
        self._car(actor_id)

    def _vehicle(self, actor_id: int) -> VehicleActor | CrowdActor:
        """Also one of the world's own, which can be asked but not told."""
        actor = self._server.episode.actor(actor_id)
        if isinstance(actor, CrowdActor) and actor.kind.startswith("vehicle."):
            return actor
        return self._car(actor_id)

    def _car(self, actor_id: int) -> VehicleActor:
        actor = self._server.episode.actor(actor_id)
        if not isinstance(actor, VehicleActor):
            raise CallError(f"actor {actor_id} is a {actor.kind}; expected a vehicle of a client")
        return actor
