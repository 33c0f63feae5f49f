# SPDX-License-Identifier: Apache-2.0
"""The car: CommonRoad's vehicle models with the parameters of CARLA's Tesla Model 3.

CommonRoad's single-track model (Althoff and Wuersching, "CommonRoad: Vehicle Models", 2020)
drives above 6 m/s, their kinematic one below and in reverse, where tyres hardly slip and the
single-track equations, which divide by the speed, are stiff. Engine, brakes and actuators are
ours. Everything is in ROS' frames; only `Control.steer` has CARLA's sign. A larger or heavier
body drives in the same way: its box and mass count where it meets others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from vehiclemodels.utils.vehicle_dynamics_ks_cog import vehicle_dynamics_ks_cog
from vehiclemodels.vehicle_dynamics_st import vehicle_dynamics_st
from vehiclemodels.vehicle_parameters import VehicleParameters, setup_vehicle_parameters

from td3_driver.driving.routes.turning import MAX_WHEEL_RAD, WHEELBASE_M
from td3_driver.driving.types import Control, Pose, wrap_angle
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.ground.terrain import GRAVITY_MPS2

FloatArray = npt.NDArray[np.float64]

# CARLA 0.9.16's vehicle.tesla.model3: mass and bounding box.
MASS_KG = 1845.0
LENGTH_M, WIDTH_M, HEIGHT_M = 4.79, 2.16, 1.49
MODEL_3 = Body(LENGTH_M, WIDTH_M, HEIGHT_M, MASS_KG)
# The centre of gravity is taken to be the middle of wheelbase and box.
_CENTRE_OF_GRAVITY_HEIGHT_M = 0.46
DRAG_KG_PER_M = 0.5 * 1.2 * 0.51  # 1/2 air density * drag area
_DRAG_PER_M = DRAG_KG_PER_M / MASS_KG

_ROLLING_MPS2 = 0.012 * GRAVITY_MPS2
# Ours: 0 to 50 km/h in 4 s, a full stop at 8.5 m/s2, and actuators that take a moment.
_DRIVE_MPS2 = 3.8
_DRIVE_POWER_WPKG = 46.0  # per kg: 85 kW
_REVERSE_MPS2 = 2.5
MAX_SPEED_MPS = 50.0
MAX_REVERSE_SPEED_MPS = 8.0
_BRAKE_MPS2 = 8.5
_HAND_BRAKE_MPS2 = 4.5
_DRIVE_LAG_S = 0.15
_BRAKE_LAG_S = 0.08
_WHEEL_RATE_RADPS = 2.0
SLIDING_MPS2 = 7.0  # locked wheels, or wheels that are pushed sideways

_SINGLE_TRACK_FROM_MPS = 6.0
_MAX_SLIP_RAD = 0.5
_SUBSTEP_S = 0.01
_SLIDING_FROM_MPS = 0.05
_MOTION, _ACTUATORS = struct.Struct("12d"), struct.Struct("3d")

# CommonRoad's state vector.
_X, _Y, _WHEEL, _SPEED, _YAW, _YAW_RATE, _SLIP = range(7)


class ControlError(ValueError):
    """A command that no vehicle could follow."""


def _model_parameters() -> VehicleParameters:
    """CommonRoad's vehicle 2 (a BMW 320i, for its tyres) with the Model 3's body."""
    parameters = setup_vehicle_parameters(vehicle_id=2)
    parameters.m = MASS_KG
    parameters.l, parameters.w = LENGTH_M, WIDTH_M
    parameters.a = parameters.b = WHEELBASE_M / 2.0
    # The mass spread as if half sat on each axle, close to measured passenger cars.
    parameters.I_z = MASS_KG * parameters.a * parameters.b
    parameters.h_s = _CENTRE_OF_GRAVITY_HEIGHT_M
    steering, longitudinal = parameters.steering, parameters.longitudinal
    steering.max, steering.min = MAX_WHEEL_RAD, -MAX_WHEEL_RAD
    longitudinal.v_max, longitudinal.v_min = MAX_SPEED_MPS, -MAX_REVERSE_SPEED_MPS
    # Our engine and brakes keep their own limits.
    longitudinal.a_max, longitudinal.v_switch = 20.0, MAX_SPEED_MPS
    return parameters


_PARAMETERS = _model_parameters()
FRICTION = float(_PARAMETERS.tire.p_dy1)  # CommonRoad's tyre on dry asphalt: 1.05
MAX_LATERAL_MPS2 = FRICTION * GRAVITY_MPS2


@dataclass(frozen=True)
class VehicleState:
    """The car at one instant, at the middle of its bounding box.

    `speed_mps` and `lateral_speed_mps` are along the body (forward, left), `acceleration_mps2`
    is the mean over the last step in the map frame (x, y, z).
    """

    pose: Pose
    speed_mps: float
    lateral_speed_mps: float
    yaw_rate_radps: float
    acceleration_mps2: tuple[float, float, float]


class Vehicle:
    """One car. A slope only adds to its acceleration.

    Args:
        pose: where it starts, at rest.
        body: its box and mass.
    """

    def __init__(self, pose: Pose, body: Body = MODEL_3) -> None:
        self.body = body
        self._corners_m = _CORNERS * (body.length_m / 2.0, body.width_m / 2.0)
        self._state = [0.0] * 7
        # What the wheels do not roll along: (x, y) m/s in the map frame, after a push.
        self._slide_mps: tuple[float, float] | None = None
        self._rests = False
        # The command and pull by which the last step changed nothing at all, if any.
        self._idle_by: tuple[Control, float] | None = None
        self._pose: Pose | None = None
        self.teleport(pose)

    @property
    def state(self) -> VehicleState:
        """The car now."""
        speed, slip = self._state[_SPEED], self._state[_SLIP]
        forward, left = speed * math.cos(slip), speed * math.sin(slip)
        if self._slide_mps is not None:
            forward, left = self._in_body_frame(*self.map_velocity())
        return VehicleState(
            pose=self.pose,
            speed_mps=forward,
            lateral_speed_mps=left,
            yaw_rate_radps=self._state[_YAW_RATE],
            acceleration_mps2=self._acceleration_mps2,
        )

    @property
    def pose(self) -> Pose:
        """The middle of the car's bounding box, on the ground."""
        if self._pose is None:
            self._pose = Pose(self._state[_X], self._state[_Y], self._state[_YAW], self._z_m)
        return self._pose

    @property
    def rests(self) -> bool:
        """Whether the last step moved nothing, and nothing has been changed since."""
        return self._rests

    def footprint(self) -> FloatArray:
        """Corners in the map frame, metres, (4, 2): front left, front right, rear right, left."""
        return place(self._corners_m, self.pose)

    def teleport(self, pose: Pose) -> None:
        """Set the car's pose; it keeps its velocity, as CARLA's does.

        The wheels are straight and the pedals released afterwards, so that a car at rest is always
        in the same state.
        """
        self._state[_X], self._state[_Y], self._state[_YAW] = pose.x_m, pose.y_m, pose.yaw_rad
        self._z_m = pose.z_m
        self._pose = None
        self._state[_WHEEL] = self._wheel_rad = 0.0
        self._drive_mps2 = self._brake_mps2 = 0.0
        self._acceleration_mps2 = (0.0, 0.0, 0.0)
        self._disturb()

    def move_to(self, pose: Pose) -> None:
        """Set the car's pose and nothing else of its state."""
        self._pose = None
        self._disturb()
        self._state[_X], self._state[_Y], self._state[_YAW] = pose.x_m, pose.y_m, pose.yaw_rad

    def stand_at(self, z_m: float) -> None:
        """Set the height of the ground below the car, m."""
        if z_m != self._z_m:
            self._z_m, self._pose = z_m, None

    def set_velocity(self, forward_mps: float, left_mps: float, yaw_rate_radps: float) -> None:
        """Give the car a velocity; a car without forward speed stands still.

        Raises:
            ControlError: a value is not finite.
        """
        if not all(map(math.isfinite, (forward_mps, left_mps, yaw_rate_radps))):
            raise ControlError(
                f"target velocity ({forward_mps}, {left_mps}) m/s, {yaw_rate_radps} rad/s; "
                "expected finite numbers"
            )
        forward = min(max(forward_mps, -MAX_REVERSE_SPEED_MPS), MAX_SPEED_MPS)
        slip = math.atan2(left_mps, abs(forward)) if forward else 0.0
        slip = math.copysign(1.0, forward) * min(max(slip, -_MAX_SLIP_RAD), _MAX_SLIP_RAD)
        self._state[_SPEED] = forward / math.cos(slip)
        self._state[_SLIP] = slip
        self._state[_YAW_RATE] = yaw_rate_radps if forward else 0.0
        self._limit_yaw_rate()
        self._slide_mps = None
        self._disturb()

    def map_velocity(self) -> tuple[float, float]:
        """(2,) velocity along the map's x and y, m/s."""
        speed, course = self._state[_SPEED], self._state[_YAW] + self._state[_SLIP]
        x, y = speed * math.cos(course), speed * math.sin(course)
        if self._slide_mps is None:
            return x, y
        return x + self._slide_mps[0], y + self._slide_mps[1]

    def set_map_velocity(self, velocity_mps: FloatArray) -> None:
        """As `set_velocity`, with (2,) m/s along the map's x and y; it turns as before."""
        x, y = velocity_mps.tolist()
        self.set_velocity(*self._in_body_frame(x, y), self._state[_YAW_RATE])

    def push(self, impulse: FloatArray) -> None:
        """Apply an impulse (2,), kg m/s, map frame.

        The wheels take the part along the car; what they cannot roll along it slides.
        """
        wanted = np.array(self.map_velocity()) + impulse / self.body.mass_kg
        forward, _ = self._in_body_frame(*wanted.tolist())
        yaw_rate, slip = self._state[_YAW_RATE], self._state[_SLIP]
        self.set_velocity(forward, forward * math.tan(slip), yaw_rate)
        x_mps, y_mps = (wanted - self.map_velocity()).tolist()
        if math.hypot(x_mps, y_mps) > _SLIDING_FROM_MPS:
            self._slide_mps = x_mps, y_mps

    def step(self, control: Control, dt_s: float = 0.05, pull_mps2: float = 0.0) -> None:
        """Drive for `dt_s`. Values outside a control's range are clipped to it.

        Args:
            control: the command.
            dt_s: simulated time, s.
            pull_mps2: acceleration along the car by a slope, forwards positive, m/s2.

        Raises:
            ControlError: a value is not finite.
        """
        if self._idle_by == (control, pull_mps2):
            return
        throttle, steer, brake = clipped(control)
        self._pose = None
        moving, pressed = self._motion(), self._actuators()
        substeps = max(round(dt_s / _SUBSTEP_S), 1)
        h = dt_s / substeps
        drive_target = throttle * (-_REVERSE_MPS2 if control.reverse else _DRIVE_MPS2)
        brake_target = max(brake * _BRAKE_MPS2, _HAND_BRAKE_MPS2 if control.hand_brake else 0.0)
        drive_share = 1.0 - math.exp(-h / _DRIVE_LAG_S)
        brake_share = 1.0 - math.exp(-h / _BRAKE_LAG_S)
        velocity_before = self.map_velocity()
        for _ in range(substeps):
            self._drive_mps2 += (drive_target - self._drive_mps2) * drive_share
            self._brake_mps2 += (brake_target - self._brake_mps2) * brake_share
            turn = -steer * MAX_WHEEL_RAD - self._wheel_rad
            self._wheel_rad += min(max(turn, -_WHEEL_RATE_RADPS * h), _WHEEL_RATE_RADPS * h)
            self._substep(h, pull_mps2)
        self._slide(dt_s)
        if abs(self._state[_YAW]) > math.pi:
            self._state[_YAW] = wrap_angle(self._state[_YAW])
        velocity = self.map_velocity()
        self._acceleration_mps2 = (
            (velocity[0] - velocity_before[0]) / dt_s,
            (velocity[1] - velocity_before[1]) / dt_s,
            0.0,
        )
        self._rests = self._motion() == moving
        idle = self._rests and self._actuators() == pressed
        self._idle_by = (control, pull_mps2) if idle else None

    def _motion(self) -> bytes:
        """Everything of how it moves, to the bit."""
        slide = self._slide_mps or (0.0, 0.0)
        return _MOTION.pack(*self._state, *self._acceleration_mps2, *slide)

    def _actuators(self) -> bytes:
        """The rest that a step depends on."""
        return _ACTUATORS.pack(self._wheel_rad, self._drive_mps2, self._brake_mps2)

    def _disturb(self) -> None:
        self._rests, self._idle_by = False, None

    def _in_body_frame(self, x: float, y: float) -> tuple[float, float]:
        """A vector of the map frame forward and left."""
        sin, cos = math.sin(self._state[_YAW]), math.cos(self._state[_YAW])
        return cos * x + sin * y, cos * y - sin * x

    def _slide(self, dt_s: float) -> None:
        """Slide on from a push for `dt_s`, s, ever more slowly."""
        if self._slide_mps is not None:
            (x_m, y_m), self._slide_mps = slid(self._slide_mps, dt_s)
            self._state[_X] += x_m
            self._state[_Y] += y_m

    def _substep(self, h: float, pull_mps2: float) -> None:
        speed, speed_after = self._state[_SPEED], self._speed_after(h, pull_mps2)
        # CommonRoad's tyres never let go, so the wheels turn no further than real ones would bite.
        sharpest = math.atan(MAX_LATERAL_MPS2 * WHEELBASE_M / max(speed * speed, 1e-3))
        self._state[_WHEEL] = min(max(self._wheel_rad, -sharpest), sharpest)
        inputs = (0.0, (speed_after - speed) / h)
        if speed == speed_after == 0.0:  # the models would change nothing
            self._state[_SLIP] = self._state[_YAW_RATE] = 0.0
        elif speed >= _SINGLE_TRACK_FROM_MPS:
            self._state = _runge_kutta(vehicle_dynamics_st, self._state, inputs, h)
            self._state[_SPEED] = speed_after
            self._state[_SLIP] = min(max(self._state[_SLIP], -_MAX_SLIP_RAD), _MAX_SLIP_RAD)
            self._limit_yaw_rate()
        else:
            self._state[:_YAW_RATE] = _runge_kutta(
                vehicle_dynamics_ks_cog, self._state[:_YAW_RATE], inputs, h
            )
            self._state[_SPEED] = speed_after
            self._roll_without_slip()

    def _speed_after(self, h: float, pull_mps2: float) -> float:
        """The speed after engine, slope and resistance, which can stop but not reverse the car.

        At rest a drive weaker than the friction changes nothing at all.
        """
        speed = self._state[_SPEED]
        strongest = _DRIVE_POWER_WPKG / max(abs(speed), 1.0)
        pushed = speed + (min(max(self._drive_mps2, -strongest), strongest) + pull_mps2) * h
        friction = (self._brake_mps2 + _ROLLING_MPS2 + _DRAG_PER_M * speed * speed) * h
        slowed = math.copysign(max(abs(pushed) - friction, 0.0), pushed)
        return min(max(slowed, -MAX_REVERSE_SPEED_MPS), MAX_SPEED_MPS) + 0.0

    def _roll_without_slip(self) -> None:
        """Slip angle and yaw rate of the kinematic model, which does not keep them itself."""
        speed, tangent = self._state[_SPEED], math.tan(self._state[_WHEEL])
        slip = math.atan(tangent * _PARAMETERS.b / WHEELBASE_M) if speed else 0.0
        self._state[_SLIP] = slip
        self._state[_YAW_RATE] = speed * math.cos(slip) * tangent / WHEELBASE_M if speed else 0.0

    def _limit_yaw_rate(self) -> None:
        """Limit the yaw rate to what the tyres allow at this speed."""
        fastest = MAX_LATERAL_MPS2 / max(abs(self._state[_SPEED]), 1.0)
        self._state[_YAW_RATE] = min(max(self._state[_YAW_RATE], -fastest), fastest)


_CORNERS = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)])


def place(points_m: FloatArray, pose: Pose) -> FloatArray:
    """(N, 2) points of the car's frame (forward, left) in the map frame, for a car at `pose`."""
    sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
    turn = np.array([(cos, sin), (-sin, cos)])
    placed: FloatArray = points_m @ turn + np.array([pose.x_m, pose.y_m])
    return placed


def slid(
    velocity_mps: tuple[float, float], dt_s: float
) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Slide for `dt_s`, s, from a velocity along the map's x and y.

    Returns:
        The way along x and y, m, and the velocity afterwards; None at rest.
    """
    x, y = velocity_mps
    speed_mps = math.hypot(x, y)
    if speed_mps <= SLIDING_MPS2 * dt_s:
        lasts_s = speed_mps / SLIDING_MPS2
        return (lasts_s / 2.0 * x, lasts_s / 2.0 * y), None
    left = 1.0 - SLIDING_MPS2 * dt_s / speed_mps
    mean_s = (1.0 + left) / 2.0 * dt_s
    return (mean_s * x, mean_s * y), (left * x, left * y)


def clipped(control: Control) -> tuple[float, float, float]:
    """Throttle, steer and brake, clipped to their ranges.

    Raises:
        ControlError: a value is not finite.
    """
    values = control.throttle, control.steer, control.brake
    if not all(map(math.isfinite, values)):
        raise ControlError(
            f"control: throttle {values[0]}, steer {values[1]}, brake {values[2]}; "
            "expected finite numbers"
        )
    throttle, steer, brake = values
    return (
        min(max(throttle, 0.0), 1.0),
        min(max(steer, -1.0), 1.0),
        min(max(brake, 0.0), 1.0),
    )


_Dynamics = Callable[[Sequence[float], Sequence[float], VehicleParameters], Sequence[float]]


def _runge_kutta(
    dynamics: _Dynamics, state: list[float], inputs: Sequence[float], h: float
) -> list[float]:
    """One classical fourth-order step of a CommonRoad model."""

    def shifted(slope: Sequence[float], by: float) -> list[float]:
        return [x + by * dx for x, dx in zip(state, slope, strict=True)]

    k1 = dynamics(state, inputs, _PARAMETERS)
    k2 = dynamics(shifted(k1, h / 2.0), inputs, _PARAMETERS)
    k3 = dynamics(shifted(k2, h / 2.0), inputs, _PARAMETERS)
    k4 = dynamics(shifted(k3, h), inputs, _PARAMETERS)
    slope = [a + 2.0 * b + 2.0 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]
    return shifted(slope, h / 6.0)
