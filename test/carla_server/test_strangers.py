# SPDX-License-Identifier: Apache-2.0
"""Whoever connects and whatever they send: the world goes on for the others."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from td3_driver.carla_server.rpc import MOST_CONNECTIONS as MOST_CALLERS
from td3_driver.carla_server.server import listening
from td3_driver.carla_server.streams import MOST_CONNECTIONS as MOST_LISTENERS

from ..e2e.running import wait_until
from .raw import Caller, Connection, Listener, RefusedError, episode_token, frame_of, request
from .serving import HOST, MAPS, Serving

MB = 2**20


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    serving = Serving("--map", str(MAPS / "circle.xodr"))
    with Caller(serving.port), Caller(serving.port) as busy:  # open until the end
        busy.send("get_map_data")
        yield serving
        code = serving.stop()
    assert code == 0
    assert "Traceback" not in serving.program.output
    for opened in listening(serving.port):  # free at once
        opened.close()


@pytest.fixture
def caller(serving: Serving) -> Iterator[Caller]:
    """One who behaves, in a world that ticks when it is told to."""
    with Caller(serving.port) as caller:
        caller.synchronous()
        yield caller


def rss_bytes(serving: Serving) -> int:
    text = Path(f"/proc/{serving.program.process.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


NO_CALLS = {
    "no msgpack": b"\xc1\xc1\xc1",
    "a request of HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "a number": b"\x05",
    "too short": b"\x93\x00\x01\xa7version",
    "a reply": b"\x94\x01\x01\xc0\xc0",
    "no name": b"\x94\x00\x01\xc4\x01x\x91\x90",
    "no metadata": b"\x94\x00\x01\xa7version\x90",
    "deep": b"\x91" * 5000,
    "arrays as keys": b"\x81\x90\x01",
    "a date that is none": b"\xc7\x0c\xff" + b"\xff" * 12,
    "an array of four billion": b"\xdd\xff\xff\xff\xff",
    "three million arrays": b"\xdd\x00\x00\x00\x05" + (b"\xdc\xea\x60" + b"\x90" * 60000) * 50,
}


@pytest.mark.parametrize("name", NO_CALLS)
def test_what_is_no_call_ends_its_connection_and_no_other(
    serving: Serving, caller: Caller, name: str
) -> None:
    with Caller(serving.port) as stranger:
        stranger.call("version")
        stranger.socket.sendall(NO_CALLS[name])
        assert stranger.ended()
    assert caller.call("version") == "0.9.16"
    assert "Traceback" not in serving.program.output


def test_who_sends_half_a_call_waits_alone(serving: Serving, caller: Caller) -> None:
    whole = request(1, "version")
    huge = b"\x94\x00\x01\xdb\xff\xff\xff\xff" + b"x" * MB  # a name of four gigabytes
    with Caller(serving.port) as slow, Caller(serving.port) as half:
        slow.socket.sendall(whole[:9])
        half.socket.sendall(huge)
        assert caller.call("version") == "0.9.16"
        slow.socket.sendall(whole[9:])
        assert slow.reply() == "0.9.16"
        slow.socket.sendall(whole[:-3])
        slow.die()
    assert caller.call("version") == "0.9.16"


def test_a_long_text_is_refused_in_a_short_one(serving: Serving, caller: Caller) -> None:
    with pytest.raises(RefusedError, match="map 'xxx") as refused:
        caller.call("load_new_episode", "x" * 5 * MB, True, 0)
    assert len(str(refused.value)) <= 1000
    with pytest.raises(RefusedError, match="no function") as refused:
        caller.call("y" * 5 * MB)
    assert len(str(refused.value)) <= 1000


@pytest.mark.parametrize("sent", [b"\xff" * 4, b"\0" * 4, b"\x01", b"\xff" * 5000])
def test_a_stream_that_is_none_ends_the_connection(
    serving: Serving, caller: Caller, sent: bytes
) -> None:
    with Connection(serving.port + 1) as stranger:
        stranger.socket.sendall(sent)
        if len(sent) < 4:
            stranger.die()
        else:
            assert stranger.ended()
    with Listener(episode_token(caller)) as listener:
        assert first_message(caller, listener)


def test_who_does_not_fetch_replies_is_not_read_any_further(
    serving: Serving, caller: Caller
) -> None:
    definitions = caller.call("get_actor_definitions")
    count = 200 * MB // len(msgpack.packb(definitions))
    before = rss_bytes(serving)
    with Caller(serving.port) as stranger:
        stranger.socket.sendall(request(7, "get_actor_definitions") * count)
        for _ in range(50):
            assert caller.call("version") == "0.9.16"
        assert rss_bytes(serving) - before < 100 * MB
        for _ in range(20):  # and what it has sent is answered all the same
            assert stranger.reply() == definitions
    assert caller.call("version") == "0.9.16"


def test_a_thousand_calls_of_one_do_not_keep_others_waiting(
    serving: Serving, caller: Caller
) -> None:
    ticks = 4_000  # their 60 kB wait in the sockets
    with Caller(serving.port) as greedy:
        greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MB)
        start = caller.synchronous()
        os.kill(serving.program.process.pid, signal.SIGSTOP)
        try:  # so that all is there when it looks
            greedy.socket.sendall(request(1, "tick_cue") * ticks)
            caller.send("set_episode_settings", [True, False, [True, 0.05]])
        finally:
            os.kill(serving.program.process.pid, signal.SIGCONT)
        assert caller.reply() < start + ticks
        greedy.die()


def test_the_world_waits_for_no_listener(serving: Serving, caller: Caller) -> None:
    camera = caller.spawn("sensor.camera.rgb", image_size_x=800, image_size_y=600)
    with Listener(camera[-1]) as deaf, Listener(camera[-1]) as listener:
        first_message(caller, listener)
        before = rss_bytes(serving)
        for _ in range(120):  # 230 MB, of which 64 wait
            frame = caller.call("tick_cue")
            while frame_of(listener.message()) < frame:
                pass
        assert rss_bytes(serving) - before < 150 * MB
        deaf.die()
    assert caller.call("destroy_actor", camera[0]) is True


def test_a_listener_may_die_within_a_picture(serving: Serving, caller: Caller) -> None:
    camera = caller.spawn("sensor.camera.rgb", image_size_x=1600, image_size_y=1200)
    for _ in range(3):
        with Listener(camera[-1]) as listener:
            while not readable(listener):
                caller.call("tick_cue")
            listener.socket.recv(1000)
            listener.die()
    with Listener(camera[-1]) as listener:
        assert len(first_message(caller, listener)) == 48 + 12 + 1600 * 1200 * 4
        assert caller.call("destroy_actor", camera[0]) is True
        to_the_end(listener)  # the stream ends with its sensor


def test_what_a_killed_client_has_begun_is_done_and_its_actors_stay(
    serving: Serving, caller: Caller
) -> None:
    car = caller.spawn("vehicle.tesla.model3", caller.spawn_points()[0])
    for name, *arguments in (["tick_cue"], ["get_map_data"], ["tick_cue"]):
        with Caller(serving.port) as killed, Listener(episode_token(caller)) as listening_too:
            for _ in range(50):
                killed.send(name, *arguments)
            killed.die()
            listening_too.die()
    assert [actor[0] for actor in caller.call("get_actors_by_id", [car[0]])] == [car[0]]
    with Caller(serving.port) as killed:
        killed.send("load_new_episode", "circle", True, 0)
    wait_until(lambda: not caller.call("get_actors_by_id", [car[0]]))
    assert caller.call("version") == "0.9.16"


def test_more_connections_than_there_may_be_are_refused(serving: Serving, caller: Caller) -> None:
    token = episode_token(caller)
    for limit, port, sent in (
        (MOST_CALLERS, serving.port, request(1, "version")),
        (MOST_LISTENERS, serving.port + 1, token[:4]),
    ):
        crowd = [Connection(port) for _ in range(limit + 20)]
        assert crowd[-1].ended()
        assert caller.call("version") == "0.9.16"
        for connection in crowd:
            connection.socket.close()

        def admitted(port: int = port, sent: bytes = sent) -> bool:
            with Connection(port) as one:
                try:
                    one.socket.sendall(sent)
                    caller.call("tick_cue")
                    caller.call("tick_cue")
                    return readable(one) and not one.ended()
                except ConnectionError:
                    return False

        wait_until(admitted)


def test_actors_come_and_go_and_leave_nothing(serving: Serving, caller: Caller) -> None:
    def round_trip(count: int) -> None:
        spawn = [[0, [[1, "sensor.other.imu", []], [[0.0] * 3] * 2, [False], 0, "", []]]]
        answers = caller.call("apply_batch", [spawn] * count, False)
        destroy = [[[1, [actor_id]]] for [[_, actor_id]] in answers]
        assert caller.call("apply_batch", destroy, False) == answers
        caller.call("tick_cue")

    round_trip(1000)
    for _ in range(3):
        caller.call("load_new_episode", "circle", False, 0)
    before = rss_bytes(serving)
    for _ in range(4):
        round_trip(1000)
    for _ in range(15):
        caller.call("load_new_episode", "circle", False, 0)
    assert rss_bytes(serving) - before < 45 * MB  # 60 where old towns stay


def test_nobody_of_another_machine_is_let_in(serving: Serving) -> None:
    for port in (serving.port, serving.port + 1):
        with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
            elsewhere.connect(("127.0.0.2", port))  # it binds one address, not all


@pytest.mark.parametrize("offset", [0, 1])
def test_a_port_that_is_taken_is_named(offset: int) -> None:
    port = 20_000 + os.getpid() % 10_000  # the system gives none of these away by itself
    with socket.create_server((HOST, port + offset)):
        named = f"--carla-port {port}: port {port + offset} of {HOST}: address already in use"
        with pytest.raises(OSError, match=re.escape(named)):
            listening(port)


def readable(connection: Connection) -> bool:
    """Whether something has come, or comes in a moment."""
    connection.socket.settimeout(0.02)
    try:
        return bool(connection.socket.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        connection.socket.settimeout(60.0)


def ended(listener: Listener) -> bool:
    """Wait for a message or the end: whether the stream has ended."""
    try:
        return listener.socket.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


def to_the_end(listener: Listener) -> None:
    """Read until the stream has ended, perhaps within a message."""
    try:
        while listener.socket.recv(MB):
            pass
    except ConnectionError:
        return


def first_message(caller: Caller, listener: Listener) -> bytes:
    """Tick until the server knows the listener."""
    while not readable(listener):
        caller.call("tick_cue")
    return listener.message()
