# SPDX-License-Identifier: Apache-2.0
"""Input from the world: assembles ticks from messages, and notes when topics fall silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from builtin_interfaces.msg import Time
from carla_msgs.msg import (
    CarlaEgoVehicleStatus,
    CarlaTrafficLightInfoList,
    CarlaTrafficLightStatusList,
)
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Bool

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.messages.decoding import (
    control_of,
    light_places,
    light_states,
    stamp_ns,
)
from td3_driver.driving.messages.light_matching import SeenLights
from td3_driver.driving.messages.synchronisation import (
    CameraMatcher,
    Pair,
    Pairing,
    PicturesTogether,
    Sync,
)
from td3_driver.driving.messages.topics import LIGHTS_INFO, LIGHTS_STATUS
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.types import FULL_BRAKE, Control, Lights
from td3_driver.online.timing import Cadence
from td3_driver.ros import names
from td3_driver.ros.road_users import listen_to_road_users
from td3_driver.ros.versions import SENT_NS, with_info
from td3_driver.ros.wires import Wires

# In real time only the newest frame counts: DDS overwrites older ones instead of queueing them.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# A bridge that does not wait publishes the next tick before this one's picture has come.
_TICKS_KEPT = 10


@dataclass(frozen=True)
class Sighting:
    """All that is known of one tick.

    Attributes:
        image, odometry: of the same stamp, the odometry interpolated where need be.
        beside: of that stamp the images of the cameras beside the first.
        sent_ns: wall clock at which the image was published, ns.
        executed: the control executed in the step that led here; None if it is not known yet.
        human, users, lights: see `Driver.observe`.
    """

    image: Image
    odometry: Odometry
    sent_ns: int
    executed: Control | None
    human: Control | None
    users: RoadUsers
    lights: Lights
    beside: tuple[Image, ...] = ()

    @property
    def images(self) -> tuple[Image, ...]:
        """Those of all cameras, the first one's first."""
        return (self.image, *self.beside)


Value = TypeVar("Value")
OnFrame = Callable[[Sighting], None]
OnBareTick = Callable[[Time], None]


class Intake:
    """Pairs image and odometry, and waits for the other messages of that tick.

    Several cameras' images of one stamp count as one image, and only when all are there.

    These are other road users and the executed control, if their topics are published. If images
    and odometry have stamps of their own there are no ticks: the newest message counts. It always
    does of traffic lights: the bridge tells of them when one changes, before that tick's odometry,
    and without a stamp.

    Args:
        wires: makes the subscriptions, in the order in which they are to be served.
        topics: the car's topics.
        lockstep: every frame counts; else only the newest.
        sync: how images get their odometry.
        tell: called with a line about findings on stamps.
        on_frame: called with each tick when all its messages are here.
        users: subscribe to the other road users.
        obeyed: in lock-step, also wait for the executed control of a tick.
        on_bare_tick: in lock-step, called with the stamp of a tick without a picture, if the
            camera delivers less often than the world ticks.

    Attributes:
        active: messages are used; else they are dropped.
        override: a human drives.
        images_s: by topic, time.monotonic of each camera's last image, s.
        odometry_s, frame_s: the same of the last odometry and of the last frame.
        lone: the newest image or odometry, if it has no partner yet.
        cadence: the ticks in which the camera delivers.
        lights: the traffic lights; it has to be told the map.
    """

    def __init__(
        self,
        wires: Wires,
        topics: names.EgoTopics,
        lockstep: bool,
        sync: Sync,
        tell: Callable[[str], None],
        on_frame: OnFrame,
        *,
        users: bool,
        obeyed: bool = False,
        on_bare_tick: OnBareTick | None = None,
    ) -> None:
        self.active = False
        self.override = False
        self.odometry_s = self.frame_s = time.monotonic()
        self.images_s = dict.fromkeys(topics.images, self.frame_s)
        self.lone: Image | Odometry | None = None
        self.cadence = Cadence()
        self.lights = SeenLights()
        self._on_frame = on_frame
        self._on_bare_tick = on_bare_tick if lockstep else None
        self._look_again_after = wires.alarm(self._look_for_a_bare_tick)
        self._lockstep, self._sync, self._tell = lockstep, sync, tell
        self._wants_status = lockstep and obeyed
        self._hears_of_status = False  # with the stamps of ticks, as from the bridge
        self._pairing = Pairing(sync, tell)
        self._topics = topics
        self._cameras = CameraMatcher(len(topics.images))
        self._sent_ns = 0
        self._held: Pair | None = None
        self._held_sent_ns = 0
        self._status: CarlaEgoVehicleStatus | None = None
        self._executed: dict[int, Control] = {}  # by stamp, of the newest ticks
        self._users_at: dict[int, RoadUsers] = {}
        self._users = NOBODY
        self._users_ns: int | None = None  # stamp of the users; None: not published
        self._users_s = 0.0  # arrival of the users, time.monotonic
        frames = names.VOLATILE_10 if lockstep else _NEWEST
        wires.listen(Bool, topics.manual_override, self._on_override, names.LATCHED_1)
        status = topics.of("vehicle_status")
        wires.listen(CarlaEgoVehicleStatus, status, self._on_status, names.VOLATILE_10)
        latched = names.LATCHED_10
        wires.listen(CarlaTrafficLightInfoList, LIGHTS_INFO, self._on_lights_info, latched)
        wires.listen(CarlaTrafficLightStatusList, LIGHTS_STATUS, self._on_lights_status, latched)
        if users:
            listen_to_road_users(wires, topics.objects, self._on_users, frames)
        # Both neighbours of an image are needed, however long the last frame took.
        neighbours = sync.mode in ("nearest", "interpolate")
        odometry = names.VOLATILE_10 if neighbours else frames
        on_odometry = with_info(self._on_odometry)
        wires.listen(Odometry, topics.of("odometry"), on_odometry, odometry)
        # The first camera's last: a world that publishes it last has then sent the rest.
        for camera in reversed(range(len(topics.images))):
            on_image = with_info(partial(self._on_image, camera))
            wires.listen(Image, topics.images[camera], on_image, frames)

    def begin(self) -> None:
        """Use incoming messages from now on."""
        self._pairing = Pairing(self._sync, self._tell)
        self._cameras = CameraMatcher(len(self._topics.images))
        self.cadence = Cadence()
        self._held = self.lone = self._users_ns = None
        self._hears_of_status = False
        self._executed.clear()
        self._users_at.clear()
        self.odometry_s = self.frame_s = time.monotonic()
        self.images_s = dict.fromkeys(self._topics.images, self.frame_s)
        self.active = True

    @property
    def image_s(self) -> float:
        """time.monotonic of the last image of any camera, s."""
        return max(self.images_s.values())

    def _on_override(self, message: Bool) -> None:
        self.override = message.data

    def _on_image(self, camera: int, message: Image, info: dict[str, int]) -> None:
        if not self.active:
            return
        self.images_s[self._topics.images[camera]] = time.monotonic()
        self._sent_ns = info[SENT_NS]
        alone = len(self._topics.images) == 1
        picture = message if alone else self._cameras.image(camera, message)
        if picture is None:
            return
        self.lone = message
        self.cadence.picture(stamp_ns(message.header.stamp))
        self._pairs(self._pairing.image(picture, self._sent_ns))

    def _on_odometry(self, message: Odometry, info: dict[str, int]) -> None:
        if not self.active:
            return
        self.odometry_s = time.monotonic()
        self.lone = message
        self.cadence.tick(stamp_ns(message.header.stamp))
        pairs = self._pairing.odometry(message, info[SENT_NS])
        self._pairs(pairs)
        if self._on_bare_tick is None or pairs or self._pairing.own_stamps:
            return
        if (patience_s := self.cadence.patience_s()) is not None:
            self._look_again_after(patience_s)

    def _look_for_a_bare_tick(self) -> None:
        """Report the newest tick as one without a picture, if none has come in time."""
        if self._on_bare_tick and self.active and isinstance(self.lone, Odometry):
            bare, self.lone = self.lone, None
            self._on_bare_tick(bare.header.stamp)

    def _on_status(self, message: CarlaEgoVehicleStatus) -> None:
        self._status = message
        _keep(self._executed, stamp_ns(message.header.stamp), control_of(message.control))
        if self.active:
            self._release_if_complete()

    def _on_users(self, stamp: int, users: RoadUsers) -> None:
        if not self.active:
            return
        self._users, self._users_ns = users, stamp
        _keep(self._users_at, stamp, users)
        self._users_s = time.monotonic()
        self._release_if_complete()

    def _on_lights_info(self, message: CarlaTrafficLightInfoList) -> None:
        self.lights.place(light_places(message))

    def _on_lights_status(self, message: CarlaTrafficLightStatusList) -> None:
        self.lights.show(light_states(message))

    @property
    def hears_of_users(self) -> bool:
        """Another node publishes the road users."""
        return self._users_ns is not None

    @property
    def hears_of_status(self) -> bool:
        """The car publishes the executed control of each tick."""
        return self._hears_of_status

    def go_on(self, after_s: float) -> tuple[bool, bool]:
        """Stop waiting for users or status after a time in s; return which were missing."""
        if self._held is None or time.monotonic() - self.frame_s <= after_s:
            return False, False
        odometry = self._held[1]
        users, told = not self._knows_users(odometry), self._hears_of_status
        status = self._status is not None and not self._knows_status(odometry)
        if users:
            self._users_ns = None
        if status:
            self._hears_of_status = False
            self._release()  # with a human's last control, if one drives
        elif users:
            self._release_if_complete()
        return users, status and told

    def _pairs(self, pairs: list[Pair]) -> None:
        """Take in new pairs; one odometry may complete several images that waited for it."""
        for pair in pairs if self._lockstep else pairs[-1:]:
            self._pair(*pair)

    def _pair(self, image: Image | PicturesTogether, odometry: Odometry) -> None:
        self.frame_s = time.monotonic()
        self.lone = None
        self._release()  # the missing messages of a held frame will not come any more
        self._held, self._held_sent_ns = (image, odometry), self._sent_ns
        self._release_if_complete()

    def _release_if_complete(self) -> None:
        if self._held is None or not self._knows_users(self._held[1]):
            return
        if self._knows_status(self._held[1]):
            self._release()

    def _knows_users(self, odometry: Odometry) -> bool:
        if self._users_ns is None or self._pairing.own_stamps:
            return True
        return self._users_ns >= stamp_ns(odometry.header.stamp)

    def _knows_status(self, odometry: Odometry) -> bool:
        """Whether the executed control of this tick is known, if it is published and needed."""
        status = self._status
        if not self.override and not (self._wants_status and self._hears_of_status):
            return True
        if status is None or self._pairing.own_stamps:
            return status is not None
        return stamp_ns(status.header.stamp) >= stamp_ns(odometry.header.stamp)

    def _release(self) -> None:
        if self._held is None:
            return
        (picture, odometry), self._held = self._held, None
        images = picture.images if isinstance(picture, PicturesTogether) else (picture,)
        stamp = stamp_ns(odometry.header.stamp)
        known = self.hears_of_users and self._knows_users(odometry)
        if self._pairing.own_stamps:
            known = time.monotonic() - self._users_s <= GAP_NS * 1e-9
        users = self._users_at.get(stamp, self._users) if known else NOBODY
        done, human = self._executed.get(stamp), None
        self._hears_of_status |= done is not None
        if self.override:
            if self._status is None:
                return
            drives = control_of(self._status.control) if done is None else done
            human = drives if drives.finite else FULL_BRAKE
        executed = done if done is not None and done.finite else None
        lights, sent_ns = self.lights.shown, self._held_sent_ns
        image, *beside = images
        told = (sent_ns, executed, human, users, lights)
        self._on_frame(Sighting(image, odometry, *told, beside=tuple(beside)))


def _keep(values: dict[int, Value], stamp: int, value: Value) -> None:
    """Add a tick's value, and forget the oldest."""
    values.pop(stamp, None)  # a world's time may begin anew
    values[stamp] = value
    if len(values) > _TICKS_KEPT:
        del values[next(iter(values))]
