# SPDX-License-Identifier: Apache-2.0
"""`td3_driver world --carla-port`: runs the server until a signal ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2

from td3_driver import signals
from td3_driver.carla_server.calls.actors import ActorCalls
from td3_driver.carla_server.calls.refused import refused
from td3_driver.carla_server.calls.traffic import TrafficCalls
from td3_driver.carla_server.calls.vehicles import VehicleCalls
from td3_driver.carla_server.calls.world import VERSION, WorldCalls
from td3_driver.carla_server.episode import Surroundings
from td3_driver.carla_server.log import Log
from td3_driver.carla_server.rpc import methods_of
from td3_driver.carla_server.server import HOST, Server, Towns, listening
from td3_driver.driving.routes.road_map import RoadMap


def serve(first: RoadMap, folder: Path | None, port: int, surroundings: Surroundings) -> int:
    """Run a server; returns the exit code.

    Args:
        first: the town that it begins in.
        folder: where further maps are; None: there are none.
        port: of the calls, and the next one for streams.
        surroundings: what else is in each town.

    Raises:
        ValueError: the town cannot be simulated.
        OSError: a port is taken.
    """
    cv2.setNumThreads(1)  # the client's threads want the other core
    sockets = listening(port)
    log = Log()
    server = Server(Towns(first, folder), port, surroundings, log.say)
    calls = [kind(server) for kind in (WorldCalls, ActorCalls, VehicleCalls, TrafficCalls)]
    methods = refused() | {
        name: method
        for part in calls
        for name, method in methods_of(part, bare=frozenset({"apply_batch"})).items()
    }

    async def run() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def end(*_: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        signals.handle(end)
        name = server.episode.road_map.name
        log.say(f"CARLA {VERSION} on {HOST}:{port} and {port + 1}: {name}")
        await server.serve(sockets, methods, log.failed)

    try:
        asyncio.run(run())
    except asyncio.CancelledError:
        log.say(f"ended after {server.frame} ticks")
    return 0
