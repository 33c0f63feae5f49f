# SPDX-License-Identifier: Apache-2.0
"""The structures of CARLA 0.9.16's remote calls, and how they stand on the wire.

A structure is an array of its fields in their order. CARLA is left-handed: x forward, y right, z
up, yaw clockwise from above; lengths in m, angles in degrees. Names and orders are those of
LibCarla's `rpc` namespace.
"""

from __future__ import annotations

import math
import reprlib
import types
import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any

from td3_driver.driving.types import LARGEST_M


class CallError(Exception):
    """A call that cannot be done; the text goes to the client, which raises a RuntimeError."""


# Whole numbers that are sent on, to clients that take no others: the lowest and the highest.
UInt8 = Annotated[int, (0, 2**8 - 1)]
UInt16 = Annotated[int, (0, 2**16 - 1)]
UInt32 = Annotated[int, (0, 2**32 - 1)]
Int32 = Annotated[int, (-(2**31), 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Vector3D:
    """Also a `Location`; m, m/s or degrees per second."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """Degrees; pitch is positive upwards, yaw clockwise from above."""

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True, slots=True)
class Transform:
    """A place and a direction; of an attached actor relative to its parent."""

    location: Vector3D = Vector3D()
    rotation: Rotation = Rotation()


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """`location` is relative to the actor, `extent` has half the sizes."""

    location: Vector3D = Vector3D()
    extent: Vector3D = Vector3D()
    rotation: Rotation = Rotation()
    actor_id: int = 0


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """An attribute of an actor: its type is 1 bool, 2 int, 3 float, 4 string or 5 colour."""

    id: str
    type: UInt8
    value: str


@dataclass(frozen=True, slots=True)
class ActorDescription:
    """What a client wants to spawn."""

    uid: UInt32
    id: str
    attributes: list[AttributeValue]

    def text(self, name: str, default: str = "") -> str:
        """An attribute's value."""
        return next((a.value for a in self.attributes if a.id == name), default)

    def number(self, name: str, default: float) -> float:
        """An attribute's value as a number.

        Raises:
            CallError: it is none.
        """
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise CallError(f"{self.id}: {name} {text!r}; expected a number")
        return value


@dataclass(frozen=True, slots=True)
class VehicleControl:
    """A driver's command; `steer` is positive to the right."""

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False
    manual_gear_shift: bool = False
    gear: Int32 = 0

    @property
    def current_gear(self) -> int:
        """What a car of one gear is in by this command, and clients are told; -1 backwards."""
        if self.reverse:
            return -1
        return self.gear if self.manual_gear_shift else 1


@dataclass(frozen=True, slots=True)
class WalkerControl:
    """How a pedestrian walks: `direction` in the map, `speed` in m/s."""

    direction: Vector3D = Vector3D(1.0, 0.0, 0.0)
    speed: float = 0.0
    jump: bool = False


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """How time goes on; the fields from `substepping` on are kept and have no effect."""

    synchronous_mode: bool = False
    no_rendering_mode: bool = False
    fixed_delta_seconds: float | None = None
    substepping: bool = True
    max_substep_delta_time: float = 0.01
    max_substeps: Int32 = 10
    max_culling_distance: float = 0.0
    deterministic_ragdolls: bool = True
    tile_stream_distance: float = 3000.0
    actor_active_distance: float = 2000.0
    spectator_as_ego: bool = True


@dataclass(frozen=True, slots=True)
class WeatherParameters:
    """CARLA's weather, 0 to 100 where nothing else is said; the sun in degrees, the fog in m.

    The defaults are what CARLA's maps begin with: pictures are those of `world_node`.
    """

    cloudiness: float = 15.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wind_intensity: float = 10.0
    sun_azimuth_angle: float = -1.0
    sun_altitude_angle: float = 45.0
    fog_density: float = 2.0
    fog_distance: float = 0.75
    fog_falloff: float = 0.1
    wetness: float = 0.0
    scattering_intensity: float = 1.0
    mie_scattering_scale: float = 0.03
    rayleigh_scattering_scale: float = 0.0331
    dust_storm: float = 0.0


@dataclass(frozen=True, slots=True)
class GearPhysics:
    """A gear: its ratio, and the engine speeds (0 to 1) at which it is left."""

    ratio: float = 1.0
    down_ratio: float = 0.5
    up_ratio: float = 0.65


@dataclass(frozen=True, slots=True)
class Vector2D:
    """A point of a curve."""

    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class WheelPhysics:
    """A wheel; `radius` in cm, `max_steer_angle` in degrees, `position` in cm in the map."""

    tire_friction: float = 3.5
    damping_rate: float = 0.25
    max_steer_angle: float = 70.0
    radius: float = 35.5
    max_brake_torque: float = 1500.0
    max_handbrake_torque: float = 3000.0
    lat_stiff_max_load: float = 2.0
    lat_stiff_value: float = 17.0
    long_stiff_value: float = 1000.0
    position: Vector3D = Vector3D()


@dataclass(frozen=True, slots=True)
class VehiclePhysicsControl:
    """What a vehicle is made of."""

    torque_curve: list[Vector2D] = field(default_factory=list)
    max_rpm: float = 0.0
    moi: float = 0.0
    damping_rate_full_throttle: float = 0.0
    damping_rate_zero_throttle_clutch_engaged: float = 0.0
    damping_rate_zero_throttle_clutch_disengaged: float = 0.0
    use_gear_autobox: bool = True
    gear_switch_time: float = 0.0
    clutch_strength: float = 0.0
    final_ratio: float = 1.0
    forward_gears: list[GearPhysics] = field(default_factory=list)
    mass: float = 0.0
    drag_coefficient: float = 0.0
    center_of_mass: Vector3D = Vector3D()
    steering_curve: list[Vector2D] = field(default_factory=list)
    wheels: list[WheelPhysics] = field(default_factory=list)
    use_sweep_wheel_collision: bool = False


def encode(value: Any) -> Any:
    """A structure as msgpack has it: arrays, and an optional as `[False]` or `[True, it]`."""
    if is_dataclass(value):
        kind_of_value: Any = type(value)
        return [
            _encode_optional(part) if kind is not None else encode(part)
            for kind, part in zip(_optionals(kind_of_value), _parts(value), strict=True)
        ]
    if isinstance(value, (list, tuple)):
        return [encode(part) for part in value]
    return value


def decoder(kind: Any) -> Callable[[Any], Any]:
    """How a value that came over the wire becomes one of a type.

    As lenient as LibCarla: fields that are missing at the end keep their defaults, further ones
    are ignored, integers pass for floats. What is not finite, or no number of this world, is not
    taken.

    Args:
        kind: bool, int, `Int32` and the like, float, str, bytes, a structure, a `list` of them,
            `T | None` or Any.

    Returns:
        A function that raises a CallError that says what was expected.
    """
    found: Callable[[Any], Any] = _decoder(kind)
    return found


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    if kind is Any:
        return _anything
    if is_dataclass(kind):
        return _structure_decoder(kind)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _range_decoder(*parts[1])
    if origin is list:
        return _list_decoder(_decoder(parts[0]))
    if origin is types.UnionType:
        return _optional_decoder(_decoder(parts[0]))
    plain: dict[Hashable, Callable[[Any], Any]]
    plain = {bool: _bool, int: _int, float: _float, str: _text, bytes: _bytes}
    return plain[kind]


def _structure_decoder(kind: Any) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [part.name for part in fields(kind)]
    decoders = [_decoder(hints[name]) for name in names]

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise CallError(f"{_short(value)} is no {kind.__name__}")
        try:
            return kind(*(decode(part) for decode, part in zip(decoders, value, strict=False)))
        except TypeError as error:  # a field that has no default is missing
            wanted = f"{kind.__name__} ({', '.join(names)})"
            raise CallError(f"{_short(value)} is no {wanted}") from error

    return decode


def _list_decoder(of_one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise CallError(f"{_short(value)}; expected an array")
        return [of_one(part) for part in value]

    return decode


def _optional_decoder(of_one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if value is None or (isinstance(value, list) and value[:1] == [False]):
            return None
        if isinstance(value, list) and len(value) == 2 and value[0] is True:
            return of_one(value[1])
        raise CallError(f"{_short(value)}; expected [false] or [true, a value]")

    return decode


def _range_decoder(lowest: int, highest: int) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if not lowest <= _int(value) <= highest:
            raise CallError(f"{_short(value)}; expected {lowest} to {highest}")
        return int(value)

    return decode


def _anything(value: Any) -> Any:
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, (bool, int)):
        raise CallError(f"{_short(value)}; expected true or false")
    return bool(value)


def _int(value: Any) -> int:
    if not isinstance(value, int):
        raise CallError(f"{_short(value)}; expected a whole number")
    return int(value)


def _float(value: Any) -> float:
    if not isinstance(value, (int, float)) or not abs(value) < LARGEST_M:
        raise CallError(f"{_short(value)}; expected a finite number below {LARGEST_M:g}")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CallError(f"{_short(value)}; expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # bytes that `surrogateescape` let through
        raise CallError(f"{_short(value)}; expected text in UTF-8") from error
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise CallError(f"{_short(value)}; expected bytes")
    return value


def _short(value: Any) -> str:
    return _SHORTENED.repr(value)


# Of what a client sent: it may be as large as a message, and a thousand arrays deep.
_SHORTENED = reprlib.Repr()
_SHORTENED.maxlevel, _SHORTENED.maxstring, _SHORTENED.maxother = 3, 80, 80


@cache
def _optionals(kind: Any) -> list[Any]:
    hints = typing.get_type_hints(kind)
    of_fields = [hints[part.name] for part in fields(kind)]
    return [hint if typing.get_origin(hint) is types.UnionType else None for hint in of_fields]


def _parts(value: Any) -> list[Any]:
    return [getattr(value, part.name) for part in fields(value)]


def _encode_optional(value: Any) -> list[Any]:
    return [False] if value is None else [True, encode(value)]
