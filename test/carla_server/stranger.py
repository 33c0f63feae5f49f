# SPDX-License-Identifier: Apache-2.0
"""A server without sockets: calls go through its msgpack both ways."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import msgpack

from td3_driver.carla_server.calls.actors import ActorCalls
from td3_driver.carla_server.calls.traffic import TrafficCalls
from td3_driver.carla_server.calls.vehicles import VehicleCalls
from td3_driver.carla_server.calls.world import WorldCalls
from td3_driver.carla_server.episode import Surroundings
from td3_driver.carla_server.rpc import RpcServer, methods_of
from td3_driver.carla_server.server import Server, Towns
from td3_driver.driving.routes.road_map import RoadMap

CALLS = (WorldCalls, ActorCalls, VehicleCalls, TrafficCalls)
NOWHERE = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


class Stranger:
    """One who calls what they like; an internal error of the server is a failed test.

    Args:
        town: the first map.
        folder: where other maps are.
    """

    def __init__(self, town: Path, folder: Path | None = None) -> None:
        surroundings = Surroundings(traffic=1, pedestrians=1)
        towns = Towns(RoadMap.from_file(town), folder)
        self.server = Server(towns, 2000, surroundings, lambda _: None)
        self._faults: list[str] = []
        methods = {
            name: method
            for kind in CALLS
            for name, method in methods_of(
                kind(self.server), bare=frozenset({"apply_batch"})
            ).items()
        }
        self._rpc = RpcServer(methods, lambda _: None, self._failed)

    def call(self, name: str, *arguments: Any) -> Any:
        """The result as it comes over the wire."""
        sent = msgpack.packb([*arguments], unicode_errors="surrogateescape")
        came = msgpack.unpackb(sent, unicode_errors="surrogateescape")
        reply, then = self._rpc.answer(7, name, came)
        if then is not None:
            self._rpc.follow_up(name, then)
        faults, self._faults = self._faults, []
        assert not faults, faults[0]
        answer = msgpack.unpackb(reply, unicode_errors="surrogateescape")
        assert answer[:2] == [1, 7]
        return answer[3]

    def value(self, name: str, *arguments: Any) -> Any:
        """The value of a call that has to be done."""
        match self.call(name, *arguments):
            case [[1, value]]:
                return value
            case [[False]]:
                return None
        raise AssertionError(f"{name} is refused: {self.call(name, *arguments)}")

    def refusal(self, name: str, *arguments: Any) -> str:
        """The text of a call that has to be refused."""
        match self.call(name, *arguments):
            case [[0, [str(text)]]] | [[True, [str(text)]]]:
                return text
        raise AssertionError(f"{name} is not refused")

    def spawn(self, kind: str, at: Any = None, parent: int = 0, **attributes: object) -> Any:
        """An actor's number."""
        described = [1, kind, [[name, 4, str(value)] for name, value in attributes.items()]]
        where = at or NOWHERE
        if parent:
            return self.value("spawn_actor_with_parent", described, where, parent, 0, "")[0]
        return self.value("spawn_actor", described, where)[0]

    def ids(self) -> list[int]:
        """Of all actors."""
        return list(self.server.episode.actors)

    def _failed(self, what: str) -> None:
        self._faults.append(f"{what}: {traceback.format_exc()}")
