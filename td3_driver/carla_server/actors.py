# SPDX-License-Identifier: Apache-2.0
"""The actors of an episode as clients see them: in calls, and in each tick's state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from td3_driver.carla_server import wire
from td3_driver.carla_server.axes import carla_pose, carla_vector, world_pose
from td3_driver.carla_server.structures import (
    ActorDescription,
    BoundingBox,
    CallError,
    Vector3D,
    VehicleControl,
    VehiclePhysicsControl,
    WalkerControl,
    encode,
)
from td3_driver.carla_server.wire import Pose6, Triple
from td3_driver.driving.types import Control
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.car import Car
from td3_driver.world.bodies.powertrain import WHEELS
from td3_driver.world.bodies.solid import Prop, Solid
from td3_driver.world.bodies.walker import LedWalker
from td3_driver.world.camera.shutter import Shutter
from td3_driver.world.traffic_lights import TrafficLights

NOWHERE: Pose6 = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_REST: Triple = (0.0, 0.0, 0.0)
_UNKNOWN_CONTROL = VehicleControl()


@dataclass(eq=False, kw_only=True)
class Actor:
    """Anything that has an id: this class itself is what neither drives nor is solid.

    Attributes:
        pose: in the map, CARLA's axes.
        relative: to the parent, of what is attached.
        tags: semantic tags.
        token: of the stream of a sensor.
    """

    id: int
    description: ActorDescription
    pose: Pose6 = NOWHERE
    parent_id: int = 0
    relative: Pose6 | None = None
    box: BoundingBox = field(default_factory=BoundingBox)
    tags: bytes = b""
    token: bytes = b""

    @property
    def kind(self) -> str:
        """Such as `vehicle.tesla.model3`."""
        return self.description.id

    @property
    def body_id(self) -> int:
        """The number of its body in the scene."""
        return self.id

    @property
    def solid(self) -> Solid | None:
        """Its body, if clients may move it."""
        return None

    @property
    def velocity(self) -> Triple:
        """m/s in the map."""
        return _REST

    @property
    def turning(self) -> Triple:
        """Degrees per second."""
        return _REST

    @property
    def acceleration(self) -> Triple:
        """m/s2 in the map."""
        return _REST

    def encoded(self) -> list[Any]:
        """As calls have it."""
        tags, token = self.tags, self.token
        described, box = encode(self.description), encode(self.box)
        return [self.id, self.parent_id, described, box, tags, token]

    def state(self) -> bytes:
        """As a tick's state has it."""
        return wire.actor_state(
            self.id, self.pose, self.velocity, self.turning, self.acceleration, self._of_kind()
        )

    def move(self, pose: Pose6) -> None:
        """Put it somewhere in the map."""
        self.pose = pose

    def attach(self) -> None:
        """Be carried from now on: it passes through others."""
        if self.solid is not None:
            self.solid.collides = False

    def refresh(self) -> None:
        """Take the pose from the world after a step."""

    def _of_kind(self) -> bytes:
        return b""


@dataclass(eq=False, kw_only=True)
class PropActor(Actor):
    """A thing that stands where it is put."""

    prop: Prop

    @property
    def solid(self) -> Solid:
        return self.prop

    def move(self, pose: Pose6) -> None:
        self.prop.pose = world_pose(pose)
        self.pose = pose


@dataclass(eq=False, kw_only=True)
class VehicleActor(Actor):
    """A car that a client spawned."""

    car: Car
    control: VehicleControl = field(default_factory=VehicleControl)
    light_state: int = 0  # its own lights, as bits
    speed_limit_kmh: float = 30.0
    light: LightActor | None = None  # the traffic light that it is at
    physics: VehiclePhysicsControl | None = None  # what clients have said that it is made of

    def __post_init__(self) -> None:
        self._sticky = self.description.text("sticky_control", "true").lower() != "false"
        self._commanded = False

    def command(self, control: VehicleControl) -> None:
        """Drive by this until the next command; without `sticky_control`, for one tick."""
        self._drive(control)
        self._commanded = True

    def apply_physics(self, control: VehiclePhysicsControl) -> None:
        """Take what a client says that it is made of.

        Raises:
            CallError: it has another number of wheels.
        """
        if len(control.wheels) != len(WHEELS):
            raise CallError(
                f"physics control with {len(control.wheels)} wheels; expected {len(WHEELS)}"
            )
        self.physics = control

    def start_tick(self) -> None:
        """Forget a command that held for one tick."""
        if not self._sticky and not self._commanded:
            self._drive(VehicleControl())
        self._commanded = False

    def _drive(self, control: VehicleControl) -> None:
        self.control = control
        self.car.control = Control(
            control.throttle,
            control.steer,
            control.brake,
            control.hand_brake,
            control.current_gear < 0,
        )

    @property
    def solid(self) -> Solid:
        return self.car

    @property
    def velocity(self) -> Triple:
        x, y = self.car.vehicle.map_velocity()
        return carla_vector((x, y, self.car.vertical_speed_mps))

    @property
    def turning(self) -> Triple:
        return 0.0, 0.0, -math.degrees(self.car.vehicle.state.yaw_rate_radps)

    @property
    def acceleration(self) -> Triple:
        return carla_vector(self.car.vehicle.state.acceleration_mps2)

    def move(self, pose: Pose6) -> None:
        self.car.place(world_pose(pose))
        self.refresh()

    def attach(self) -> None:
        super().attach()
        self.car.simulate_physics = False

    def refresh(self) -> None:
        self.pose = carla_pose(self.car.pose, self.car.ground.pitch_rad)

    def _of_kind(self) -> bytes:
        light = self.light
        return wire.vehicle_state(
            self.control,
            self.speed_limit_kmh,
            None if light is None else (light.id, light.state_now),
        )


@dataclass(eq=False, kw_only=True)
class WalkerActor(Actor):
    """A pedestrian whom a client leads."""

    walker: LedWalker
    control: WalkerControl = field(default_factory=WalkerControl)

    def command(self, control: WalkerControl) -> None:
        """Walk so until the next command."""
        self.control = control
        along = control.direction
        self.walker.velocity_mps = (along.x * control.speed, -along.y * control.speed)

    @property
    def solid(self) -> Solid:
        return self.walker

    @property
    def velocity(self) -> Triple:
        x, y = self.walker.map_velocity()
        return x, -y, 0.0

    def move(self, pose: Pose6) -> None:
        self.walker.pose = world_pose(pose)
        self.refresh()

    def refresh(self) -> None:
        x, y, z, pitch, yaw, roll = carla_pose(self.walker.pose)
        self.pose = (x, y, z + self.box.extent.z, pitch, yaw, roll)

    def _of_kind(self) -> bytes:
        along = self.control.direction
        return wire.walker_state(
            (along.x, along.y, along.z), self.control.speed, self.control.jump
        )


@dataclass(eq=False, kw_only=True)
class CrowdActor(Actor):
    """One of the world's own traffic or pedestrians; `crowd.py` moves it, and clients cannot.

    Attributes:
        key: the number of its body, which comes again.
        body: its box and mass.
    """

    key: int
    body: Body
    velocity_now: Triple = _REST
    turning_now: Triple = _REST
    acceleration_now: Triple = _REST

    @property
    def body_id(self) -> int:
        return self.key

    @property
    def velocity(self) -> Triple:
        return self.velocity_now

    @property
    def turning(self) -> Triple:
        return self.turning_now

    @property
    def acceleration(self) -> Triple:
        return self.acceleration_now

    def move(self, pose: Pose6) -> None:
        pass

    def _of_kind(self) -> bytes:
        if self.kind.startswith("vehicle."):
            return wire.vehicle_state(_UNKNOWN_CONTROL, 30.0, None)
        if self.kind.startswith("walker."):
            x, y, _ = self.velocity_now
            speed = (x * x + y * y) ** 0.5
            along = (x / speed, y / speed, 0.0) if speed else (1.0, 0.0, 0.0)
            return wire.walker_state(along, speed, False)
        return b""


@dataclass(eq=False, kw_only=True)
class LightActor(Actor):
    """A traffic light of the map."""

    lights: TrafficLights
    index: int
    sign_id: str

    @property
    def state_now(self) -> int:
        """What it shows, by CARLA's numbers."""
        return int(self.lights.state(self.index))

    def _of_kind(self) -> bytes:
        lights, index = self.lights, self.index
        return wire.light_state(
            self.sign_id,
            lights.times_s(index),
            lights.elapsed_s(index),
            index,
            lights.frozen(index),
            self.state_now,
        )


@dataclass(eq=False, kw_only=True)
class SignActor(Actor):
    """A traffic sign of the map."""

    sign_id: str

    def _of_kind(self) -> bytes:
        return wire.sign_state(self.sign_id)


@dataclass(eq=False, kw_only=True)
class Sensor(Actor):
    """What is heard over a stream, if anybody listens."""

    stream_id: int | None = None
    shutter: Shutter
    made: dict[str, Any] = field(default_factory=dict)  # what a sensor keeps from tick to tick


def upright_box(
    length_m: float, width_m: float, height_m: float, middle_z_m: float
) -> BoundingBox:
    """The box of what stands on the ground."""
    extent = Vector3D(length_m / 2.0, width_m / 2.0, height_m / 2.0)
    return BoundingBox(Vector3D(0.0, 0.0, middle_z_m), extent)
