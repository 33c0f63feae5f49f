# SPDX-License-Identifier: Apache-2.0
"""What clients of a test begin with."""

from __future__ import annotations

import queue
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import carla
import pytest

STEP_S = 0.05
PATIENCE_S = 60.0


# What threads of the wheel may still use when Python has no name for it any more: freed in the
# wrong moment, they end the process with SIGSEGV.
_KEPT: list[Any] = []


def kept(thing: Any) -> Any:
    """The thing itself, which lives as long as the process."""
    _KEPT.append(thing)
    return thing


@contextmanager
def synchronous(client: carla.Client) -> Iterator[carla.World]:
    """A world as new, that ticks when it is told to; afterwards by itself again."""
    world = kept(client.reload_world())
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    world.apply_settings(settings)
    try:
        yield world
    finally:
        settings.synchronous_mode, settings.fixed_delta_seconds = False, None
        world.apply_settings(settings)


def spawned(world: carla.World, kind: str, where: Any = None, **attributes: object) -> Any:
    """An actor of a kind, at a place or at the first spawn point."""
    blueprint = world.get_blueprint_library().find(kind)
    for name, value in attributes.items():
        blueprint.set_attribute(name, str(value))
    return kept(world.spawn_actor(blueprint, where or world.get_map().get_spawn_points()[0]))


def attached(
    world: carla.World, kind: str, parent: Any, where: Any = None, **attributes: object
) -> Any:
    """A sensor on an actor."""
    blueprint = world.get_blueprint_library().find(kind)
    for name, value in attributes.items():
        blueprint.set_attribute(name, str(value))
    return kept(world.spawn_actor(blueprint, where or carla.Transform(), attach_to=parent))


class Heard:
    """What a sensor sends.

    Attributes:
        by_frame: all that came.
    """

    def __init__(self, world: carla.World, sensor: Any) -> None:
        self.by_frame: dict[int, Any] = {}
        self._world = world
        self._messages: queue.Queue[Any] = queue.Queue()
        sensor.listen(self._take)

    def until_there(self) -> Any:
        """Tick until a message comes: the connection is made in the background."""
        for _ in range(2000):
            self._world.tick()
            try:
                return self._messages.get(timeout=0.03)
            except queue.Empty:
                continue
        raise AssertionError("no message in 2000 ticks")

    def of_next_tick(self) -> Any:
        """Tick once; the message of that frame."""
        return self.of_frame(self._world.tick())

    def of_frame(self, frame: int) -> Any:
        """The message of a frame that has been ticked; those before are dropped."""
        while True:
            message = self._messages.get(timeout=PATIENCE_S)
            if message.frame == frame:
                return message
            assert message.frame < frame, f"{message.frame} came, but not {frame}"

    def _take(self, message: Any) -> None:
        self.by_frame[message.frame] = message
        self._messages.put(message)


def heard_at_once(happen: Callable[[], None], *heard: Heard) -> list[Any]:
    """Let something happen until all have heard of it in one tick; what each then got.

    They connect in the background: what happens before they have is not told to them.
    """
    for _ in range(200):
        happen()
        end_s = time.monotonic() + 0.3
        while time.monotonic() < end_s:
            frames = set.intersection(*(set(of.by_frame) for of in heard))
            if frames:
                return [of.by_frame[min(frames)] for of in heard]
            time.sleep(0.01)
    raise AssertionError("it happened 200 times, and was not told")


def free_port() -> int:
    """For a traffic manager, which serves, too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def straight_place(world: Any, ahead_m: float = 40.0) -> Any:
    """Of the spawn points the one from where the lane leads on most nearly straight."""
    roads = world.get_map()

    def bend(place: Any) -> float:
        waypoint = roads.get_waypoint(place.location)
        further = [waypoint.next(part * ahead_m)[0] for part in (0.25, 0.5, 0.75, 1.0)]
        towards = place.get_forward_vector()
        aside = [towards.cross(on.transform.location - place.location).length() for on in further]
        return max(aside) + 1e3 * any(on.is_junction for on in further)

    return min(roads.get_spawn_points(), key=bend)


def raises(text: str, call: Callable[[], object]) -> None:
    """A call fails, and its error has this text."""
    with pytest.raises(RuntimeError, match=re.escape(text)):
        call()


def ticked(world: Any, count: int) -> None:
    """Let time pass."""
    for _ in range(count):
        world.tick()


def near(one: Any, other: Any, tolerance: float = 1e-3) -> bool:
    """Whether two vectors or places are the same."""
    apart = carla.Vector3D(one.x - other.x, one.y - other.y, one.z - other.z)
    return bool(apart.length() < tolerance)
