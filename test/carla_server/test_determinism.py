# SPDX-License-Identifier: Apache-2.0
"""The same calls give the same bytes: of two servers, and after a reload of one."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import msgpack
import pytest

from .raw import Caller, Listener, episode_token, frame_of
from .serving import Serving
from .test_strangers import ended

TICKS, UNHEARD = 300, 40
EVENTS = {"collision", "obstacle"}
STREAMS = EVENTS | {"camera", "depth", "tags", "imu", "gnss", "state"}
ACTOR_BYTES = 119


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Serving, Serving]]:
    surroundings = "--difficulty", "town", "--traffic", "3", "--pedestrians", "2", "--scenery"
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(Serving, *surroundings) for _ in range(2)]
        first, second = (future.result() for future in both)
    yield first, second
    assert [first.stop(), second.stop()] == [0, 0]


Drive = dict[str, dict[int, bytes]]


def drive(serving: Serving) -> Drive:
    """300 ticks of a new episode: what each stream sent in each tick, by name.

    The first are left out, in which the server may not know a listener yet.
    """
    heard: Drive = {}
    with Caller(serving.port) as caller, ExitStack() as stack:
        caller.synchronous()
        town = caller.call("get_map_info")[0]
        caller.call("load_new_episode", town, False, 0)
        start = caller.synchronous()
        at = caller.spawn_points()[0]
        car = caller.spawn("vehicle.tesla.model3", at)
        other = caller.spawn("vehicle.tesla.model3", _ahead(at, caller.spawn_points()))
        base = car[0]
        small = {"image_size_x": 80, "image_size_y": 60}
        mounted = [[1.6, 0.0, 1.5], [0.0, 0.0, 0.0]]
        sensors = {
            "camera": caller.spawn("sensor.camera.rgb", mounted, base, **small),
            "depth": caller.spawn("sensor.camera.depth", mounted, base, **small),
            "tags": caller.spawn("sensor.camera.semantic_segmentation", mounted, base, **small),
            "imu": caller.spawn("sensor.other.imu", None, base),
            "gnss": caller.spawn("sensor.other.gnss", None, base),
            "collision": caller.spawn("sensor.other.collision", None, base),
            "obstacle": caller.spawn("sensor.other.obstacle", mounted, base, distance=50),
        }
        tokens = {name: sensor[-1] for name, sensor in sensors.items()}
        tokens["state"] = episode_token(caller)
        listeners = {name: stack.enter_context(Listener(token)) for name, token in tokens.items()}

        def take(name: str) -> int:
            message = listeners[name].message()
            number = frame_of(message) - start
            heard.setdefault(name, {})[number] = _comparable(name, message, number, base)
            return number

        def tick(number: int) -> None:
            go = [1.0 if number > UNHEARD else 0.0, 0.02 * math.sin(number / 9.0), 0.0]
            caller.call("apply_control_to_vehicle", base, [*go, False, False, False, 0])
            if number == 150:
                caller.call("set_weather_parameters", [80.0, 60.0, 50.0])
            caller.call("tick_cue")

        for number in range(1, TICKS + 1):
            tick(number)
            if number > UNHEARD:
                for name in tokens.keys() - EVENTS:
                    while take(name) < number:
                        pass
        caller.call("destroy_actor", other[0])
        for name in EVENTS:
            caller.call("destroy_actor", sensors[name][0])
            while not ended(listeners[name]):
                take(name)
    return {
        name: {number: message for number, message in told.items() if number > UNHEARD}
        for name, told in heard.items()
    }


def _ahead(at: Any, points: list[Any]) -> Any:
    """Of places to start at, one that is about 20 m ahead of another."""
    (x, y, _), (_, yaw_deg, _) = at
    sin, cos = math.sin(math.radians(yaw_deg)), math.cos(math.radians(yaw_deg))
    aim = x + 20.0 * cos, y + 20.0 * sin
    return min(points, key=lambda point: math.dist(point[0][:2], aim))


def _comparable(name: str, message: bytes, number: int, base: int) -> bytes:
    """A message without real time; its frame and its actors are counted from the drive's."""
    header = message[:8] + number.to_bytes(8, "little") + message[16:48]
    data = message[48:]
    if name == "state":
        data = data[16:]  # the episode's number, and real time
        rows = range(20, len(data), ACTOR_BYTES)
        ids = (struct.unpack_from("<I", data, row)[0] - base for row in rows)
        return header + data[:20] + b"".join(
            actor_id.to_bytes(4, "little", signed=True) + data[row + 4 : row + ACTOR_BYTES]
            for actor_id, row in zip(ids, rows, strict=True)
        )
    if name in EVENTS:
        actors, [measured] = msgpack.unpackb(data)[:2], msgpack.unpackb(data)[2:]
        told = [[actor[0] and actor[0] - base, actor[2][1]] for actor in actors]
        return header + msgpack.packb([told, measured])
    return header + data


def _differences(one: Drive, other: Drive) -> list[str]:
    """The streams that differ, and from which tick on."""
    found = []
    for name in one:
        numbers = sorted(one[name].keys() | other[name].keys())
        first = [n for n in numbers if one[name].get(n) != other[name].get(n)][:1]
        found += [f"{name} from tick {n}" for n in first]
    return found


def test_the_same_calls_give_the_same_bytes(servers: tuple[Serving, Serving]) -> None:
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(drive, servers)
    assert one.keys() == other.keys() == STREAMS
    for name in STREAMS - EVENTS:
        assert len(one[name]) == TICKS - UNHEARD
        assert len(set(one[name].values())) > 1
    assert one["collision"]
    assert one["obstacle"]
    assert _differences(one, other) == []
    assert _differences(one, drive(servers[0])) == []
