# SPDX-License-Identifier: Apache-2.0
"""Finds the camera, the odometry and the other topics of a drive in a bag, by type and name.

A topic with the bridge's name is preferred; else the only one of the type is taken. Topics of
other cars, and cameras that do not show the road ahead, do not count. A choice among several is
noted; if it is not clear, the user has to name the topic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from td3_driver.bags.cameras import road_ahead
from td3_driver.bags.reading import Bag, BagError


@dataclass(frozen=True)
class _Part:
    """A part that a topic has in a drive.

    Attributes:
        name: of the part.
        types: the message types it may have.
        names: patterns of the bridge's and this package's topic names, the best first.
        guess: the only topic of the type is taken, whatever its name is.
        asked: an option of the command line names it, such as `--image`.
    """

    name: str
    types: tuple[str, ...]
    names: tuple[str, ...]
    guess: bool = True
    asked: bool = False


_TOLD = 8  # topics, in a line that says what a bag has instead
_CAMERA = r"/carla/[^/]+/rgb_front/image"
_IMAGE = _Part(
    "image",
    ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"),
    (_CAMERA, rf"{_CAMERA}/compressed"),
    asked=True,
)
_ODOMETRY = _Part("odometry", ("nav_msgs/msg/Odometry",), (r"/carla/[^/]+/odometry",), asked=True)
_CONTROL = _Part(
    "control",
    ("carla_msgs/msg/CarlaEgoVehicleControl",),
    (r"/carla/[^/]+/vehicle_control_cmd", r".*/vehicle_control_cmd_manual"),
    asked=True,
)
_STATUS = _Part(
    "status", ("carla_msgs/msg/CarlaEgoVehicleStatus",), (r"/carla/[^/]+/vehicle_status",)
)
_WORLD_INFO = _Part("world_info", ("carla_msgs/msg/CarlaWorldInfo",), (r"/carla/world_info",))
_COLLISION = _Part(
    "collision", ("carla_msgs/msg/CarlaCollisionEvent",), (r"/carla/[^/]+/collision",)
)
_ROUTE = _Part("route", ("nav_msgs/msg/Path",), (r"/td3_driver/route",), guess=False)
_LIGHTS_INFO = _Part(
    "lights_info",
    ("carla_msgs/msg/CarlaTrafficLightInfoList",),
    (r"/carla/traffic_lights/info",),
)
_LIGHTS_STATUS = _Part(
    "lights_status",
    ("carla_msgs/msg/CarlaTrafficLightStatusList",),
    (r"/carla/traffic_lights/status",),
)
# `/carla/objects` holds the car itself too, which is in nobody's way.
_OBJECTS = _Part(
    "objects", ("derived_object_msgs/msg/ObjectArray",), (r"/carla/[^/]+/objects",), guess=False
)


@dataclass(frozen=True)
class TopicNames:
    """The topic of each part of a drive; None for a part that the bag lacks."""

    image: str
    odometry: str
    control: str | None
    status: str | None
    world_info: str | None
    collision: str | None
    route: str | None
    objects: str | None
    lights_info: str | None
    lights_status: str | None

    def to_mapping(self) -> dict[str, str | None]:
        """The topics by part, as in metrics.json."""
        return asdict(self)


def find_topics(
    bag: Bag, image: str | None = None, odometry: str | None = None, control: str | None = None
) -> TopicNames:
    """Find the topics of a drive: those given by name, else the ones that fit.

    Decisions, and parts that cannot be read, are noted in the bag's warnings.

    Raises:
        BagError: a topic is missing, has another type, cannot be read, or is not clear.
    """
    camera = _required(bag, _IMAGE, image, beside=odometry)
    place = _required(bag, _ODOMETRY, odometry, beside=camera)
    if control is not None:
        command: str | None = _given(bag, _CONTROL, control)
        _check_readable(bag, control)
    else:
        command = _optional(bag, _CONTROL, camera)
    return TopicNames(
        image=camera,
        odometry=place,
        control=command,
        status=_optional(bag, _STATUS, camera),
        world_info=_optional(bag, _WORLD_INFO, camera),
        collision=_optional(bag, _COLLISION, camera),
        route=_optional(bag, _ROUTE, camera),
        objects=_optional(bag, _OBJECTS, camera),
        lights_info=_optional(bag, _LIGHTS_INFO, camera),
        lights_status=_optional(bag, _LIGHTS_STATUS, camera),
    )


def _required(bag: Bag, part: _Part, given: str | None, beside: str | None) -> str:
    if given is not None:
        found = _given(bag, part, given)
    else:
        found = _one_of(bag, part, _candidates(bag, part, beside), beside)
    _check_readable(bag, found)
    return found


def _optional(bag: Bag, part: _Part, camera: str) -> str | None:
    candidates = _candidates(bag, part, camera)
    if not part.guess:
        candidates = [name for name in candidates if _named(part, [name])]
    if not candidates:
        return None
    if len(candidates) > 1 and not part.asked and not _named(part, candidates):
        bag.note(
            f"bag {bag.path}: {part.name} may be any of {', '.join(candidates)}; none is read"
        )
        return None
    found = _one_of(bag, part, candidates, camera)
    if why := bag.why_unreadable(found):
        bag.note(f"bag {bag.path}: {why}; it is left out")
        return None
    return found


def _check_readable(bag: Bag, name: str) -> None:
    if why := bag.why_unreadable(name):
        raise BagError(f"bag {bag.path}: {why}")


def _given(bag: Bag, part: _Part, name: str) -> str:
    fitting = _of_type(bag, part)
    if name not in fitting:
        topic = bag.topics.get(name)
        fact = f"is {topic.type}" if topic else "is not in the bag"
        raise BagError(
            f"bag {bag.path}: --{part.name} {name} {fact}; expected {' or '.join(part.types)}, "
            f"there {'is' if len(fitting) == 1 else 'are'} {', '.join(fitting) or 'none'}"
        )
    return name


def _candidates(bag: Bag, part: _Part, beside: str | None) -> list[str]:
    """The topics of a part's types that may belong to the same car as the topic `beside`."""
    names = _of_type(bag, part)
    car = role_in(beside) if beside is not None else None
    if car is not None:
        names = [name for name in names if role_in(name) in (car, None)]
    names = [name for name in names if bag.topics[name].count] or names
    names = [name for name in names if not bag.why_unreadable(name)] or names
    if beside is not None and len(names) > 1:
        most = max(_shared(name, beside) for name in names)
        names = [name for name in names if _shared(name, beside) == most]
    return sorted(names)


def _one_of(bag: Bag, part: _Part, candidates: list[str], beside: str | None) -> str:
    if not candidates:
        there = [f"{topic.name} ({topic.type})" for topic in bag.topics.values()]
        more = f" and {len(there) - _TOLD} more" if len(there) > _TOLD else ""
        strangers = _of_type(bag, part)
        car = f" of {beside}'s car (choose another's with --{part.name})" if strangers else ""
        raise BagError(
            f"bag {bag.path}: no topic of type {' or '.join(part.types)}{car}; it has"
            f" {', '.join(there[:_TOLD])}{more}"
        )
    found = _named(part, candidates) or candidates
    if len(found) > 1 and part is _IMAGE:
        chosen, why = road_ahead(bag, found)
        if len(chosen) == 1:
            others = ", ".join(name for name in candidates if name not in chosen)
            bag.note(
                f"bag {bag.path}: of {len(candidates)} camera topics {chosen[0]} is taken, which"
                f" {why}; --image TOPIC takes another ({others})"
            )
        found = chosen
    if len(found) > 1:
        raise BagError(
            f"bag {bag.path}: {part.name} may be any of {', '.join(found)}; "
            f"choose with --{part.name} TOPIC"
        )
    return found[0]


def _named(part: _Part, names: Sequence[str]) -> list[str]:
    """The names that match the best of the part's patterns that any of them matches."""
    for pattern in part.names:
        if fitting := [name for name in names if re.fullmatch(pattern, name)]:
            return fitting
    return []


def _of_type(bag: Bag, part: _Part) -> list[str]:
    return [topic.name for topic in bag.topics.values() if topic.type in part.types]


def role_in(topic: str) -> str | None:
    """Return the role name in a topic of the bridge; None for a sensor that is on no car."""
    match = re.match(r"/carla/(?!traffic_lights/)([^/]+)/(?!image)", topic)
    return match[1] if match else None


def _shared(one: str, other: str) -> int:
    """The number of leading namespaces that two topics share."""
    pairs = zip(one.split("/")[:-1], other.split("/")[:-1], strict=False)
    count = 0
    for mine, yours in pairs:
        if mine != yours:
            break
        count += 1
    return count
