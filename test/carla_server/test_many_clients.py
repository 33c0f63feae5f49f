# SPDX-License-Identifier: Apache-2.0
"""Several clients of one world: who ticks, who reads, and who leaves in the middle."""

from __future__ import annotations

import math
import signal
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from td3_driver.carla_server.server import listening

from .raw import Caller, Listener, RefusedError, episode_token, frame_of
from .serving import MAPS, Serving
from .test_strangers import first_message, to_the_end

CLIENTS = 50
HEADER_BYTES, ACTOR_BYTES = 48 + 36, 119


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    serving = Serving("--map", str(MAPS / "circle.xodr"), "--traffic", "2", "--pedestrians", "1")
    with ExitStack() as stack:  # they stay until after the end, and one wants ticks
        callers = [stack.enter_context(Caller(serving.port)) for _ in range(3)]
        yield serving
        callers[0].synchronous(on=False)
        callers[1].send("load_new_episode", "circle", True, 0)
        serving.program.process.send_signal(signal.SIGINT)
        assert serving.program.wait() == 0
    assert "Traceback" not in serving.program.output
    for opened in listening(serving.port):  # free at once
        opened.close()


@pytest.fixture
def caller(serving: Serving) -> Iterator[Caller]:
    """The one that ticks, in a new episode."""
    with Caller(serving.port) as caller:
        caller.synchronous()
        caller.call("load_new_episode", "circle", False, 0)
        yield caller


def test_fifty_who_read_see_the_same_world_while_one_ticks(
    serving: Serving, caller: Caller
) -> None:
    car = caller.spawn("vehicle.tesla.model3", caller.spawn_points()[0])
    with ExitStack() as stack:
        others = [stack.enter_context(Caller(serving.port)) for _ in range(CLIENTS)]
        token = episode_token(others[0])
        listeners = [stack.enter_context(Listener(token)) for _ in range(CLIENTS)]
        for listener in listeners:
            first_message(caller, listener)
        last = caller.call("tick_cue")
        states = {_until(listener, last) for listener in listeners}
        assert len(states) == 1
        numbers = _actors(states.pop())
        assert car[0] in numbers
        for other in others:
            assert other.call("get_actors_by_id", [car[0]])[0][0] == car[0]
            assert [actor[0] for actor in other.call("get_actors_by_id", numbers)] == numbers


def test_two_who_tick_have_a_frame_for_each(serving: Serving, caller: Caller) -> None:
    frames: list[int] = []
    start = caller.synchronous()

    def tick() -> None:
        with Caller(serving.port) as one:
            for _ in range(100):
                frames.append(one.call("tick_cue"))

    both = [threading.Thread(target=tick) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(frames) == [*range(start + 1, start + 201)]


def test_what_one_destroys_is_gone_for_the_other(serving: Serving, caller: Caller) -> None:
    at = caller.spawn_points()[0]
    car = caller.spawn("vehicle.tesla.model3", at)
    with Caller(serving.port) as other:
        with pytest.raises(RefusedError, match="collision at spawn position"):
            other.spawn("vehicle.tesla.model3", at)
        assert other.call("destroy_actor", car[0]) is True
        with pytest.raises(RefusedError, match=str(car[0])):
            caller.call("destroy_actor", car[0])
        again = other.spawn("vehicle.tesla.model3", at)
        assert again[0] > car[0]


def test_who_loads_a_town_ends_the_streams_of_all(serving: Serving, caller: Caller) -> None:
    camera = caller.spawn("sensor.camera.rgb", image_size_x=32, image_size_y=24)
    with Caller(serving.port) as other, Listener(camera[-1]) as listener:
        first_message(caller, listener)
        number = caller.call("get_episode_info")[0]
        other.call("load_new_episode", "circle", False, 0)
        to_the_end(listener)
        assert caller.call("get_episode_info")[0] > number
        assert caller.call("get_actors_by_id", [camera[0]]) == []


def test_who_leaves_in_the_middle_of_ticks_leaves_its_cars(
    serving: Serving, caller: Caller
) -> None:
    with Caller(serving.port) as leaving:
        car = leaving.spawn("vehicle.tesla.model3", leaving.spawn_points()[0])
        leaving.call("apply_control_to_vehicle", car[0], [1.0, 0.0, 0.0, False, False, False, 0])
        for _ in range(20):
            leaving.send("tick_cue")
        leaving.die()
    with Listener(episode_token(caller)) as listener:
        first_message(caller, listener)
        for _ in range(20):
            frame = caller.call("tick_cue")
        state = _until(listener, frame)
        row = HEADER_BYTES + ACTOR_BYTES * _actors(state).index(car[0])
        speed = struct.unpack_from("<3f", state, row + 29)
    assert math.hypot(*speed) > 1.0  # it goes on by its last command


CAMERAS = (
    {"image_size_x": 1, "image_size_y": 1},
    {"fov": 179.9},
    {"fov": 0.001},
    {"image_size_x": 4096, "image_size_y": 1},
)
PLACES = (
    [[1e6, -1e6, 1e6], [0.0, 0.0, 0.0]],
    [[0.0, 0.0, -500.0], [0.0, 0.0, 0.0]],
    [[0.0, 0.0, 2.0], [90.0, 1e6, -180.0]],
    [[0.0, 0.0, 2.0], [135.0, 0.0, 30.0]],
)
KINDS = ("rgb", "depth", "semantic_segmentation")


def test_any_camera_anywhere_sends_its_pictures(serving: Serving, caller: Caller) -> None:
    car = caller.spawn("vehicle.tesla.model3", caller.spawn_points()[0])
    small = {"image_size_x": 32, "image_size_y": 24}
    with ExitStack() as stack:
        listeners = []
        for index, (camera, place) in enumerate((c, p) for c in CAMERAS for p in PLACES):
            kind, parent = f"sensor.camera.{KINDS[index % 3]}", car[0] * (index % 2)
            made = caller.spawn(kind, place, parent, **{**small, **camera})
            listeners.append(stack.enter_context(Listener(made[-1])))
        for listener in listeners:
            message = first_message(caller, listener)
            width, height = struct.unpack_from("<II", message, 48)
            assert len(message) == 48 + 12 + 4 * width * height
        caller.call("destroy_actor", car[0])  # under its cameras
        last = caller.call("tick_cue")
        for listener in listeners:
            _until(listener, last)
    assert "failed" not in serving.program.output


def _until(listener: Listener, frame: int) -> bytes:
    """The message of a frame."""
    while frame_of(message := listener.message()) < frame:
        pass
    assert frame_of(message) == frame
    return message


def _actors(state: bytes) -> list[int]:
    """The numbers of an episode's state."""
    rows = range(HEADER_BYTES, len(state), ACTOR_BYTES)
    return [struct.unpack_from("<I", state, row)[0] for row in rows]
