# SPDX-License-Identifier: Apache-2.0
"""The server: it serves clients and ticks the world, in one thread.

In synchronous mode a tick is what a client asks for; in asynchronous mode the world ticks by
itself in real time, 20 times a second.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from td3_driver.carla_server import wire
from td3_driver.carla_server.episode import Episode, Surroundings
from td3_driver.carla_server.rpc import Log, Method, RpcServer
from td3_driver.carla_server.sensors.moment import Moment
from td3_driver.carla_server.streams import Streams
from td3_driver.carla_server.structures import CallError, EpisodeSettings
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.world.scene import RESERVED_IDS

HOST = "127.0.0.1"
FREE_HZ = 20.0
_SHORTEST_DELTA_S, _LONGEST_DELTA_S = 1e-4, 1.0
# The world's own road users have smaller numbers, and so have the actors that the ROS bridge keeps
# in one table with these: it counts from 10000 on.
_FIRST_ID = RESERVED_IDS.stop
_FLOAT = struct.Struct("<f")
_LAYERED = "_Opt"  # the same roads, in CARLA with layers of buildings that can be taken away
GENERATED = "OpenDriveMap"  # the name under which a client's own roads are loaded


def listening(port: int) -> tuple[socket.socket, socket.socket]:
    """The sockets of the calls and of the streams, of this machine only: nobody is let in.

    Raises:
        OSError: a port is taken.
    """
    sockets = []
    for number in (port, port + 1):
        try:
            sockets.append(socket.create_server((HOST, number)))
        except OSError as error:
            for opened in sockets:
                opened.close()
            why = (error.strerror or str(error)).partition(" (")[0].lower()
            raise OSError(
                f"--carla-port {port}: port {number} of {HOST}: {why}; expected this port and the"
                " next to be free"
            ) from error
    return sockets[0], sockets[1]


class Towns:
    """The maps that can be loaded: one, and those beside its file.

    Args:
        first: the town of the first episode.
        folder: where other `.xodr` files are; None: there are none.
    """

    def __init__(self, first: RoadMap, folder: Path | None) -> None:
        self.first = first
        files = sorted(folder.glob("*.xodr")) if folder is not None else []
        self._files = {file.stem: file for file in files}
        self.sent = ""  # the document of `generate_opendrive_world`

    @property
    def names(self) -> list[str]:
        """Sorted."""
        return sorted({self.first.name, *self._files})

    def find(self, name: str) -> RoadMap:
        """A map by the name that a client gives, with or without its path.

        Raises:
            CallError: there is none, or it cannot be used.
        """
        name = name.rpartition("/")[2]
        try:
            if name == GENERATED:
                return RoadMap(self.sent, name)
            if name == self.first.name:
                return self.first
            if name in self._files:
                return RoadMap.from_file(self._files[name])
            if name.removesuffix(_LAYERED) in self.names:
                return RoadMap(self.find(name.removesuffix(_LAYERED)).opendrive, name)
        except (RoadMapError, OSError) as error:
            raise CallError(str(error)) from error
        raise CallError(f"map {name!r} not found; there are {', '.join(self.names)}")


class Server:
    """A CARLA server over the embedded world.

    Args:
        towns: what can be loaded.
        port: of the calls; streams have the next one.
        surroundings: what else is in each town.
        log: says a line to who runs the server.

    Attributes:
        frame: number of the newest tick; it goes on over all episodes.

    Raises:
        ValueError: the first town cannot be simulated.
    """

    def __init__(self, towns: Towns, port: int, surroundings: Surroundings, log: Log) -> None:
        self.towns = towns
        self.settings = EpisodeSettings()
        self.streams = Streams(port + 1, log)
        self.frame = 0
        self._port = port
        self._surroundings = surroundings
        self._log = log
        self._ids = itertools.count(_FIRST_ID)
        self._episodes = itertools.count(1)
        self._episode_stream = self.streams.open()
        self._started_s = time.monotonic()
        self._elapsed_s = 0.0
        self._map_changed = True
        self._enter(towns.first)

    @property
    def episode_token(self) -> bytes:
        """Where the state of each tick is sent."""
        return self.streams.token(self._episode_stream)

    def load(self, road_map: RoadMap, *, reset_settings: bool) -> None:
        """Begin an episode in a town.

        Raises:
            CallError: it cannot be simulated; the episode goes on.
        """
        before = self.episode
        try:
            self._enter(road_map)
        except ValueError as error:
            raise CallError(str(error)) from error
        before.close()
        del before
        gc.collect()  # a town has cycles, and its pictures' 80 MB do not wait for their turn
        if reset_settings:
            self.settings = EpisodeSettings()

    def configure(self, settings: EpisodeSettings) -> int:
        """Take new settings; returns the number of the newest tick.

        Raises:
            CallError: the step is not one.
        """
        delta_s = settings.fixed_delta_seconds
        if delta_s and not _SHORTEST_DELTA_S <= delta_s <= _LONGEST_DELTA_S:
            raise CallError(
                f"fixed_delta_seconds {delta_s:g}; expected {_SHORTEST_DELTA_S:g} to"
                f" {_LONGEST_DELTA_S:g}, or none"
            )
        self.settings = settings
        return self.frame

    def tick(self, delta_s: float | None = None) -> None:
        """Simulate a step, tell its state, and let all sensors sense.

        Args:
            delta_s: what has passed in reality, of which a step has a second at most; the
                settings' step goes before it.
        """
        passed_s = min(max(delta_s or 1.0 / FREE_HZ, _SHORTEST_DELTA_S), _LONGEST_DELTA_S)
        delta_s = self.settings.fixed_delta_seconds or passed_s
        self.frame += 1
        # Unreal's step is a float, and CARLA adds it up in a double.
        self._elapsed_s += _FLOAT.unpack(_FLOAT.pack(delta_s))[0]
        moment = Moment(self.frame, self._elapsed_s)
        episode = self.episode
        episode.step(delta_s, moment)
        flags = wire.MAP_CHANGED if self._map_changed else 0
        self._map_changed = False
        if self.streams.heard(self._episode_stream):
            self.streams.publish(
                self._episode_stream,
                moment.header(wire.EPISODE, (0.0,) * 6),
                wire.episode_header(
                    episode.number, time.monotonic() - self._started_s, delta_s, flags
                ),
                *episode.state(),
            )
        episode.sense(moment, render=not self.settings.no_rendering_mode)

    async def serve(
        self,
        sockets: tuple[socket.socket, socket.socket],
        methods: dict[str, Method],
        failed: Callable[[str], None],
    ) -> None:
        """Serve at the sockets of `listening` until cancelled.

        Args:
            sockets: of the calls, and of the streams.
            methods: what can be called.
            failed: called in an `except` block with what failed by our own fault.
        """
        loop = asyncio.get_running_loop()
        rpc = RpcServer(methods, self._log, failed)
        calls = await loop.create_server(rpc.connection, sock=sockets[0])
        streams = await loop.create_server(self.streams.connection, sock=sockets[1])
        try:
            await self._tick_forever(failed)
        finally:
            calls.close()
            streams.close()
            rpc.close()
            self.streams.shut()

    async def _tick_forever(self, failed: Callable[[str], None]) -> None:
        due_s = time.monotonic()
        before_s = due_s
        while True:
            now_s = time.monotonic()
            if self.settings.synchronous_mode:
                await asyncio.sleep(1.0 / FREE_HZ)
                due_s = before_s = time.monotonic()
                continue
            if now_s < due_s:
                await asyncio.sleep(due_s - now_s)
                continue
            try:
                self.tick(now_s - before_s if now_s > before_s else None)
            except Exception:  # noqa: BLE001 - ours: it is logged, the world goes on
                failed("a tick")
            before_s = now_s
            period_s = self.settings.fixed_delta_seconds or 1.0 / FREE_HZ
            due_s = max(due_s + period_s, time.monotonic())
            await asyncio.sleep(0.0)

    def _enter(self, road_map: RoadMap) -> None:
        self.episode = Episode(
            next(self._episodes), road_map, self._surroundings, self._ids, self.streams
        )
        self._elapsed_s = 0.0
        self._map_changed = True


