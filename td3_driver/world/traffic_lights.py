# SPDX-License-Identifier: Apache-2.0
"""A town's traffic lights, which take turns as CARLA's do, and its other signs.

CARLA's lights take turns by OpenDRIVE's controllers: those of a junction are green one after the
other, each for 10 s, then yellow for 3 s and red for 2 s. A light without a controller is alone
and red for 10 s. Lights and signs have a box before the junction in which CARLA notices vehicles.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from td3_driver.driving.routes.road_map import Lane, LaneId, LanePlace, RoadMap
from td3_driver.driving.types import Lights, LightState, Pose
from td3_driver.opendrive.records import Controller, SignalRecord
from td3_driver.opendrive.signal_elements import PAINTED_STOP, SPEED_LIMIT, STOP
from td3_driver.opendrive.signals import Signal, Stop
from td3_driver.world.bodies.boxes import FloatArray, box_corners, penetration

_LIGHT_FORWARD_M = 0.25  # CARLA's library puts lights so much further than the document
# The boxes of CARLA's lights: half as wide as the lane, their middles 3 m before the stop.
_LIGHT_LENGTH_M, _LIGHT_BEFORE_M, _LIGHT_SHARE = 3.0, 3.0, 0.5
_SIGN_SHARE = 0.9  # those of its signs are square, and end where the sign is
_HALF_HEIGHT_M = 1.0
_NARROWEST_M = 0.02
_YIELD = "205"
_NUMBER = re.compile(r"[0-9]{1,3}")
_MPS_PER = {"mph": 0.44704, "m/s": 1.0}  # else km/h


@dataclass(frozen=True)
class TriggerBox:
    """An upright box in the ROS map frame, or in that of something that stands in it.

    Attributes:
        center_m: x, y, z of its middle.
        half_m: half its length, which is along the traffic, its width and its height.
        yaw_rad: the direction of its length.
    """

    center_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    yaw_rad: float

    def relative_to(self, pose: Pose) -> TriggerBox:
        """A box of the map in the frame of what stands upright at `pose`."""
        x_m, y_m, z_m = self.center_m
        x_m, y_m = x_m - pose.x_m, y_m - pose.y_m
        sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
        center_m = (cos * x_m + sin * y_m, cos * y_m - sin * x_m, z_m - pose.z_m)
        return TriggerBox(
            center_m, self.half_m, math.remainder(self.yaw_rad - pose.yaw_rad, math.tau)
        )


@dataclass(frozen=True)
class TrafficLight:
    """A traffic light.

    Attributes:
        signal_id: OpenDRIVE's id.
        pose: its place, and the direction of the traffic that it is for.
        group: the number of the group of lights that take turns with it.
        stops: where lanes meet it.
        trigger: the box in which vehicles are at the light; it is empty if no lane meets it.
    """

    signal_id: str
    pose: Pose
    group: int
    stops: tuple[Stop, ...]
    trigger: TriggerBox


@dataclass(frozen=True)
class Sign:
    """A sign.

    Attributes:
        kind: CARLA's name of it: "traffic.stop", "traffic.yield", "traffic.speed_limit.30" or
            "traffic.unknown".
        signal_id, pose, stops, trigger: as of a `TrafficLight`.
        speed_limit_mps: what a sign for a speed limit allows, else None.
    """

    kind: str
    signal_id: str
    pose: Pose
    stops: tuple[Stop, ...]
    trigger: TriggerBox
    speed_limit_mps: float | None


Times = tuple[float, float, float]  # of green, yellow and red, s
_TIMES_S: Times = (10.0, 3.0, 2.0)
_TIMES_ALONE_S: Times = (10.0, 3.0, 10.0)


@dataclass
class _Turn:
    """Lights that show the same, by one controller."""

    lights: list[int]
    times_s: Times


@dataclass
class _Group:
    """Turns that follow each other; one of them is at a stage, the others are red.

    `clock_s` stands still while the group is frozen.
    """

    turns: list[_Turn] = field(default_factory=list)
    turn: int = 0
    stage: int = 0
    clock_s: float = 0.0
    until_s: float = 0.0
    frozen: bool = False


_STAGES = (LightState.GREEN, LightState.YELLOW, LightState.RED)


class _Boxes:
    """Trigger boxes by their number, searchable by who is in them."""

    def __init__(self, boxes: Sequence[TriggerBox]) -> None:
        poses = np.array([(*box.center_m[:2], box.yaw_rad) for box in boxes]).reshape(-1, 3)
        sizes_m = 2.0 * np.array([box.half_m[:2] for box in boxes]).reshape(-1, 2)
        self._centers_m, self._corners_m = poses[:, :2], box_corners(poses, sizes_m)
        # An empty box holds nobody.
        self._reach_m = np.where(sizes_m.all(axis=1), np.hypot(*sizes_m.T) / 2.0, -np.inf)

    def holding(self, footprints_m: FloatArray) -> list[int | None]:
        """Of each footprint (N, 4, 2) the first box that it overlaps."""
        middles_m = footprints_m.mean(axis=1)
        reach_m = np.hypot(*(footprints_m[:, 0] - middles_m).T)[:, None] + self._reach_m
        gaps_m = np.hypot(*(middles_m[:, None] - self._centers_m).transpose(2, 0, 1))
        found: list[int | None] = [None] * len(footprints_m)
        for row, box in np.argwhere(gaps_m < reach_m)[::-1].tolist():
            if penetration(footprints_m[row], self._corners_m[box]) is not None:
                found[row] = box
        return found


class TrafficLights:
    """The lights and signs of a town. It is a function of its steps and of what it is told.

    Args:
        road_map: the town.

    Attributes:
        lights: in the document's order; elsewhere they are named by their numbers in it.
        signs: the other signals that CARLA has as actors, in the document's order.
    """

    def __init__(self, road_map: RoadMap) -> None:
        found = road_map.lights
        self._groups, group_of = _grouped(found, road_map.controllers)
        self.lights = tuple(
            TrafficLight(
                signal.record.signal_id,
                _pose(signal, _LIGHT_FORWARD_M),
                group_of[number],
                signal.stops,
                _trigger(signal, road_map.lanes, light=True),
            )
            for number, signal in enumerate(found)
        )
        self.signs = tuple(_signs(road_map))
        self._light_boxes = _Boxes([light.trigger for light in self.lights])
        self._sign_boxes = _Boxes([sign.trigger for sign in self.signs])
        self._turn_of = {
            light: turn for group in self._groups for turn in group.turns for light in turn.lights
        }
        self._states: Lights = np.full(len(self.lights), LightState.RED, np.uint8)
        self._shown_s = [0.0] * len(self.lights)  # since when, by the group's clock
        self.reset_all()

    def step(self, dt_s: float) -> None:
        """Let time go on, s; of a group at most one colour follows another."""
        for group in self._groups:
            if group.frozen:
                continue
            group.clock_s += dt_s
            if group.clock_s >= group.until_s:
                self._go_on(group)

    def state(self, light: int) -> LightState:
        """What a light shows."""
        return LightState(self._states[light])

    def shown(self) -> Lights:
        """What all lights show, in the order of `RoadMap.lights`."""
        return self._states.copy()

    def set_state(self, light: int, state: LightState) -> None:
        """Let a light show something until its turn changes it."""
        self._states[light] = LightState(state)
        self._shown_s[light] = self._group(light).clock_s

    def elapsed_s(self, light: int) -> float:
        """For how long a light has shown what it shows; it does not grow while it is frozen."""
        return self._group(light).clock_s - self._shown_s[light]

    def freeze(self, light: int, frozen: bool) -> None:
        """Let the group of a light stay as it is, or go on."""
        self._group(light).frozen = frozen

    def freeze_all(self, frozen: bool) -> None:
        """Let all lights stay as they are, or go on."""
        for group in self._groups:
            group.frozen = frozen

    def frozen(self, light: int) -> bool:
        """Whether a light stays as it is."""
        return self._group(light).frozen

    def times_s(self, light: int) -> Times:
        """For how long a light shows green, yellow and red in its turn."""
        return self._turn_of[light].times_s

    def set_times(
        self,
        light: int,
        *,
        green_s: float | None = None,
        yellow_s: float | None = None,
        red_s: float | None = None,
    ) -> None:
        """Set times of a light and of those that show the same, from the next change on.

        Raises:
            ValueError: one is negative, or not finite.
        """
        turn = self._turn_of[light]
        told = zip((green_s, yellow_s, red_s), turn.times_s, strict=True)
        green, yellow, red = (old if new is None else new for new, old in told)
        for time_s in (green, yellow, red):
            if not 0.0 <= time_s < math.inf:
                raise ValueError(f"a traffic light's time is {time_s} s; expected 0 or more")
        turn.times_s = (green, yellow, red)

    def group_of(self, light: int) -> tuple[int, ...]:
        """The lights that take turns with a light, and itself."""
        group = self._group(light)
        return tuple(sorted(number for turn in group.turns for number in turn.lights))

    def lights_at(self, footprints_m: FloatArray) -> list[int | None]:
        """The light that each of some vehicles is at: the first in whose box a part of it is.

        Args:
            footprints_m: (N, 4, 2) corners in the ROS map frame, m, in their order around.
        """
        return self._light_boxes.holding(footprints_m)

    def signs_at(self, footprints_m: FloatArray) -> list[int | None]:
        """The number in `signs` of the sign that each of some vehicles is at, as `lights_at`."""
        return self._sign_boxes.holding(footprints_m)

    def begin(self, rng: np.random.Generator) -> None:
        """Let all groups begin anew, each at a drawn moment of its cycle.

        What they show from then on is a function of what is drawn, not of what they have shown.
        """
        for group in self._groups:
            group.clock_s = 0.0
            self._reset(group)
            cycle_s = sum(sum(turn.times_s) for turn in group.turns)
            passed_s = float(rng.uniform(0.0, cycle_s))
            while cycle_s and passed_s >= group.until_s:
                passed_s -= group.until_s
                self._go_on(group)
            group.clock_s = passed_s

    def reset_group(self, light: int) -> None:
        """Let the group of a light begin again: its first is green, the others red."""
        self._reset(self._group(light))

    def reset_all(self) -> None:
        """Let all groups begin again."""
        for group in self._groups:
            self._reset(group)

    def _group(self, light: int) -> _Group:
        return self._groups[self.lights[light].group]

    def _reset(self, group: _Group) -> None:
        for turn in group.turns:
            for light in turn.lights:
                self.set_state(light, LightState.RED)
        group.turn = group.stage = 0
        self._show(group)

    def _go_on(self, group: _Group) -> None:
        """Let a group begin its next stage."""
        group.stage += 1
        if group.stage == len(_STAGES):
            group.stage, group.turn = 0, (group.turn + 1) % len(group.turns)
        self._show(group)

    def _show(self, group: _Group) -> None:
        """Let the lights whose turn it is show its stage, which begins."""
        turn, state = group.turns[group.turn], _STAGES[group.stage]
        group.until_s = group.clock_s + turn.times_s[group.stage]
        for light in turn.lights:
            self.set_state(light, state)


def _grouped(
    lights: Sequence[Signal], controllers: Sequence[Controller]
) -> tuple[list[_Group], dict[int, int]]:
    """Groups of lights by their controllers, and the number of the group of each light."""
    numbers = {light.record.signal_id: number for number, light in enumerate(lights)}
    groups: dict[str, _Group] = {}
    group_of: dict[int, int] = {}
    # Of several controllers of a light the first one counts.
    for controller in sorted(controllers, key=lambda controller: controller.sequence):
        members = [
            numbers[signal_id]
            for signal_id in controller.signals
            if signal_id in numbers and numbers[signal_id] not in group_of
        ]
        if not members:
            continue
        junction = controller.junction
        name = f"controller {controller.controller_id}" if junction is None else junction
        group = groups.setdefault(name, _Group())
        group.turns.append(_Turn(members, _TIMES_S))
        group_of |= dict.fromkeys(members, list(groups).index(name))
    found = list(groups.values())
    for number in numbers.values():
        if number not in group_of:
            group_of[number] = len(found)
            found.append(_Group([_Turn([number], _TIMES_ALONE_S)]))
    return found, group_of


def _signs(road_map: RoadMap) -> Iterator[Sign]:
    for signal in road_map.signals:
        record = signal.record
        if signal.is_light or PAINTED_STOP in record.name:
            continue  # what is painted is no actor of CARLA's
        limit_mps = None
        kind = {STOP: "traffic.stop", _YIELD: "traffic.yield"}.get(record.kind, "traffic.unknown")
        shown = _shown_limit(record) if record.kind == SPEED_LIMIT else None
        if shown is not None:
            limit_mps = shown * _MPS_PER.get(record.unit, 1.0 / 3.6)
            kind = f"traffic.speed_limit.{shown:.0f}"
        trigger = _trigger(signal, road_map.lanes, light=False)
        yield Sign(kind, record.signal_id, _pose(signal, 0.0), signal.stops, trigger, limit_mps)


def _shown_limit(record: SignalRecord) -> float | None:
    """The number on a sign for a speed limit."""
    if record.value is not None and record.value > 0.0:
        return record.value
    return float(record.subtype) if _NUMBER.fullmatch(record.subtype) else None


def _pose(signal: Signal, forward_m: float) -> Pose:
    yaw_rad = signal.yaw_rad
    return Pose(
        signal.x_m + forward_m * math.cos(yaw_rad),
        signal.y_m + forward_m * math.sin(yaw_rad),
        yaw_rad,
        signal.z_m,
    )


def _trigger(signal: Signal, lanes: Mapping[LaneId, Lane], *, light: bool) -> TriggerBox:
    """The box around those of all lanes that meet a signal, along the first of them."""
    places, sizes_m = [], []
    for stop in signal.stops:
        lane = lanes[stop.lane]
        width_m = LanePlace.on(lane, stop.s_m).width_m
        if light:
            length_m, before_m = _LIGHT_LENGTH_M, _LIGHT_BEFORE_M
            width_m = max(_LIGHT_SHARE * width_m, _NARROWEST_M)
        else:
            width_m = length_m = max(_SIGN_SHARE * width_m, _NARROWEST_M)
            before_m = length_m / 2.0
        places.append(LanePlace.on(lane, stop.s_m - before_m))
        sizes_m.append((length_m, width_m))
    if not places:
        return TriggerBox((signal.x_m, signal.y_m, signal.z_m), (0.0, 0.0, 0.0), signal.yaw_rad)
    poses = np.array([(place.x_m, place.y_m, place.yaw_rad) for place in places])
    yaw_rad = places[0].yaw_rad
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    axes = np.array([(cos, sin), (-sin, cos)])  # along, and to the left
    corners = box_corners(poses, np.array(sizes_m)).reshape(-1, 2) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    x_m, y_m = ((low + high) / 2.0 @ axes).tolist()
    half_length_m, half_width_m = ((high - low) / 2.0).tolist()
    z_m = sum(place.z_m for place in places) / len(places)
    return TriggerBox((x_m, y_m, z_m), (half_length_m, half_width_m, _HALF_HEIGHT_M), yaw_rad)
