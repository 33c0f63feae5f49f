# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the camera, the odometry and the rest: by type and by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from td3_driver.bags.reading import Bag, BagError

IMAGE = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
ODOMETRY = ("nav_msgs/msg/Odometry",)
CONTROL = ("carla_msgs/msg/CarlaEgoVehicleControl",)
STATUS = ("carla_msgs/msg/CarlaEgoVehicleStatus",)
WORLD_INFO = ("carla_msgs/msg/CarlaWorldInfo",)
COLLISION = ("carla_msgs/msg/CarlaCollisionEvent",)
OBJECTS = ("derived_object_msgs/msg/ObjectArray",)
ROUTE = ("nav_msgs/msg/Path",)

# The bridge's and this package's own names, the better ones first.
_IMAGE_NAMES = (r"/carla/[^/]+/rgb_front/image", r"/carla/[^/]+/rgb[^/]*/image(_color)?(/.*)?")
_ODOMETRY_NAMES = (r"/carla/[^/]+/odometry", r".*/odometry", r".*/odom")
_CONTROL_NAMES = (r"/carla/[^/]+/vehicle_control_cmd", r".*/vehicle_control_cmd_manual")


@dataclass(frozen=True)
class TopicNames:
    """Topics by their part in a drive; those that a bag may lack are None."""

    image: str
    odometry: str
    control: str | None
    status: str | None
    world_info: str | None
    collision: str | None
    route: str | None
    objects: str | None

    def to_mapping(self) -> dict[str, str | None]:
        """For metrics.json."""
        return asdict(self)


def find_topics(
    bag: Bag, image: str | None = None, odometry: str | None = None, control: str | None = None
) -> TopicNames:
    """The topics of a drive, those given by name or the only ones that fit.

    Raises:
        BagError: a topic is not there, is of another type, empty, or not the only one.
    """
    return TopicNames(
        image=_required(bag, "image", IMAGE, _IMAGE_NAMES, image),
        odometry=_required(bag, "odometry", ODOMETRY, _ODOMETRY_NAMES, odometry),
        control=_find(bag, "control", CONTROL, _CONTROL_NAMES, control),
        status=_find(bag, "status", STATUS, (r"/carla/[^/]+/vehicle_status",), None),
        world_info=_find(bag, "world_info", WORLD_INFO, (r"/carla/world_info",), None),
        collision=_find(bag, "collision", COLLISION, (r"/carla/[^/]+/collision",), None),
        route=_find(bag, "route", ROUTE, (r"/td3_driver/route",), None, guess=False),
        # `/carla/objects` holds the car itself too, which is in nobody's way.
        objects=_find(bag, "objects", OBJECTS, (r"/carla/[^/]+/objects",), None, guess=False),
    )


def _required(
    bag: Bag, part: str, types: Sequence[str], patterns: Sequence[str], given: str | None
) -> str:
    found = _find(bag, part, types, patterns, given)
    if found is None:
        there = ", ".join(f"{topic.name} ({topic.type})" for topic in bag.topics.values())
        raise BagError(f"bag {bag.path}: no topic of type {' or '.join(types)}; it has {there}")
    return found


def _find(
    bag: Bag,
    part: str,
    types: Sequence[str],
    patterns: Sequence[str],
    given: str | None,
    *,
    guess: bool = True,
) -> str | None:
    """The topic given, or else one with the best known name, or else (`guess`) the only one."""
    fitting = [topic.name for topic in bag.topics.values() if topic.type in types]
    if given is not None:
        if given not in fitting:
            topic = bag.topics.get(given)
            fact = f"is {topic.type}" if topic else "is not in the bag"
            raise BagError(
                f"bag {bag.path}: --{part} {given} {fact}; expected {' or '.join(types)}, "
                f"there {'is' if len(fitting) == 1 else 'are'} {', '.join(fitting) or 'none'}"
            )
        return given
    for pattern in (*patterns, *([".*"] if guess else [])):
        names = [name for name in fitting if re.fullmatch(pattern, name)]
        if len(names) > 1:
            raise BagError(
                f"bag {bag.path}: {part} may be any of {', '.join(sorted(names))}; "
                f"choose with --{part}"
            )
        if names:
            return names[0]
    return None
