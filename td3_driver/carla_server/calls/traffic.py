# SPDX-License-Identifier: Apache-2.0
"""Calls about traffic lights, and about the traffic managers that run in clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from td3_driver.carla_server.actors import LightActor
from td3_driver.carla_server.server import Server
from td3_driver.carla_server.structures import BoundingBox, CallError, UInt16
from td3_driver.driving.types import LightState

_LONGEST_HOST = 255


@dataclass(frozen=True, slots=True)
class Address:
    """Where a traffic manager serves."""

    host: str
    port: UInt16


class TrafficCalls:
    """Calls of `carla.TrafficLight`, `carla.TrafficSign`, and for `set_autopilot`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._managers: dict[int, str] = {}

    def set_traffic_light_state(self, actor_id: int, state: int) -> None:
        """0 red, 1 yellow, 2 green, 3 off, 4 unknown; until its turn is over."""
        light = self._light(actor_id)
        try:
            wanted = LightState(state)
        except ValueError as error:
            raise CallError(f"traffic light state {state}; expected 0 to 4") from error
        light.lights.set_state(light.index, wanted)

    def set_traffic_light_green_time(self, actor_id: int, seconds: float) -> None:
        """How long it is green, s."""
        self._set_times(actor_id, green_s=seconds)

    def set_traffic_light_yellow_time(self, actor_id: int, seconds: float) -> None:
        """How long it is yellow, s."""
        self._set_times(actor_id, yellow_s=seconds)

    def set_traffic_light_red_time(self, actor_id: int, seconds: float) -> None:
        """How long it is red before the next of its group is green, s."""
        self._set_times(actor_id, red_s=seconds)

    def freeze_traffic_light(self, actor_id: int, frozen: bool) -> None:
        """Keep a light as it is, or let it go on."""
        light = self._light(actor_id)
        light.lights.freeze(light.index, frozen)

    def freeze_all_traffic_lights(self, frozen: bool) -> None:
        """Keep all lights as they are, or let them go on."""
        self._server.episode.lights.freeze_all(frozen)

    def reset_traffic_light_group(self, actor_id: int) -> None:
        """Begin the cycle of a light's junction anew."""
        light = self._light(actor_id)
        light.lights.reset_group(light.index)

    def reset_all_traffic_lights(self) -> None:
        """Begin all cycles anew."""
        self._server.episode.lights.reset_all()

    def get_group_traffic_lights(self, actor_id: int) -> list[int]:
        """The lights of the same junction."""
        light = self._light(actor_id)
        group = light.lights.group_of(light.index)
        actors = self._server.episode.actors.values()
        return [a.id for a in actors if isinstance(a, LightActor) and a.index in group]

    def get_light_boxes(self, actor_id: int) -> list[BoundingBox]:
        """None: lights are seen here, but nothing can touch them."""
        self._light(actor_id)
        return []

    def get_traffic_sign_trigger_volume(self, actor_id: int) -> BoundingBox:
        """Where a light or sign holds."""
        return self._server.episode.actor(actor_id).box

    def is_traffic_manager_running(self, port: int) -> bool:
        """Whether a client has told of one at this port."""
        return port in self._managers

    def get_traffic_manager_running(self, port: int) -> list[Any]:
        """Its host and port; port 0: there is none."""
        return [self._managers.get(port, ""), port if port in self._managers else 0]

    def add_traffic_manager_running(self, address: Address) -> bool:
        """A client's traffic manager serves at `[host, port]`; False: another one does."""
        if len(address.host) > _LONGEST_HOST:
            raise CallError(
                f"add_traffic_manager_running: host of {len(address.host)} characters; expected"
                f" at most {_LONGEST_HOST}"
            )
        new = address.port not in self._managers
        self._managers.setdefault(address.port, address.host)
        return new

    def destroy_traffic_manager(self, port: int) -> bool:
        """It has ended."""
        return self._managers.pop(port, None) is not None

    def _set_times(self, actor_id: int, **times_s: float) -> None:
        light = self._light(actor_id)
        try:
            light.lights.set_times(light.index, **times_s)
        except ValueError as error:
            raise CallError(str(error)) from error

    def _light(self, actor_id: int) -> LightActor:
        actor = self._server.episode.actor(actor_id)
        if not isinstance(actor, LightActor):
            raise CallError(f"actor {actor_id} is a {actor.kind}; expected a traffic light")
        return actor
