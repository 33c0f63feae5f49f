# SPDX-License-Identifier: Apache-2.0
"""The simulation of the embedded world: `step` takes one command and returns one tick.

Every front end (the bridge's topics, the Gymnasium environment) uses it. The same map,
configuration and commands give the same bytes in every tick.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import NARROWEST_M, RoadMap
from td3_driver.driving.types import NO_LIGHTS, Control, EgoState, Lights, Pose
from td3_driver.driving.view import ViewConfig
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.bodies.car import Car
from td3_driver.world.bodies.vehicle import MODEL_3
from td3_driver.world.camera.appearance import APPEARANCES, Look, look_of
from td3_driver.world.camera.camera import Camera, CameraConfig
from td3_driver.world.ground.lane_invasion import LaneInvasion
from td3_driver.world.ground.terrain import Ground
from td3_driver.world.scene import Collision, Scene
from td3_driver.world.traffic.vehicles import MOST_VEHICLES

MOST_OTHERS = MOST_VEHICLES  # and as many pedestrians
_CAR_ID = 1


class WorldConfigError(ValueError):
    """A world that cannot be simulated."""


@dataclass(frozen=True)
class WorldConfig:
    """The configuration of a world besides its map.

    Attributes:
        fixed_delta_s: simulated time a step.
        seed: of everything random.
        cameras: those on the car, the front one first.
        traffic, pedestrians: number of other vehicles and of pedestrians.
        scenery: buildings and trees beside the roads.
        lights: traffic lights and stop signs where the map has them, which traffic obeys.
        appearance: "plain", the same light always; "random", another day, dusk or rain each time
            the car is put somewhere; "mixed", plain in half of these cases.

    Raises:
        WorldConfigError: `fixed_delta_s` is not in (0, 0.1], CARLA's limit for stable physics;
            there is no camera; `traffic` or `pedestrians` is negative or more than `MOST_OTHERS`;
            `appearance` is unknown.
    """

    fixed_delta_s: float = 0.05
    seed: int = 0
    cameras: tuple[CameraConfig, ...] = (CameraConfig(),)
    traffic: int = 0
    pedestrians: int = 0
    scenery: bool = False
    lights: bool = False
    appearance: str = "plain"

    def __post_init__(self) -> None:
        if not 0.0 < self.fixed_delta_s <= 0.1:
            raise WorldConfigError(
                f"world: fixed_delta_s {self.fixed_delta_s}; expected more than 0 and at most 0.1"
            )
        if not self.cameras:
            raise WorldConfigError("world: cameras: there is none; expected one or more")
        for name in ("traffic", "pedestrians"):
            if not 0 <= (number := getattr(self, name)) <= MOST_OTHERS:
                raise WorldConfigError(f"world: {name} {number}; expected 0 to {MOST_OTHERS}")
        if self.appearance not in APPEARANCES:
            raise WorldConfigError(
                f"world: appearance {self.appearance!r}; expected {' or '.join(APPEARANCES)}"
            )

    def through(self, view: ViewConfig) -> WorldConfig:
        """The same world with the cameras that a driver's view asks for, of the front one's size.

        Each has the view's angle; where the view does not say where, there is the front one that
        is here.
        """
        front = self.cameras[0]
        size = front.width_px, front.height_px
        seen = tuple(
            CameraConfig(mount.id, *size, view.fov_deg, *mount.pose) for mount in view.cameras
        )
        return replace(self, cameras=seen or (replace(front, fov_deg=view.fov_deg),))


@dataclass(frozen=True)
class Tick:
    """The world after one step.

    Attributes:
        frame: number of the tick, 1 for the first.
        stamp_ns: simulated time, exactly `frame` times the step.
        ego: state of the car.
        pitch_rad: pitch of the car, nose down positive; 0 on a flat map.
        acceleration_map: mean acceleration over the step, m/s2, in the map frame (x, y, z).
        control: the command that was applied.
        image: uint8 BGRA (height, width, 4), the first camera's picture.
        beside: the pictures of the cameras beside it, each taken when it is first asked for, which
            has to be before the next step.
        collisions: the car's collisions during this step.
        lane_invasions: markings crossed during this step, in CARLA's numbers (0 other,
            1 broken, 2 solid, ... 9 curb, 10 none).
        others: the bodies of all other road users.
        others_ground: (height in m, pitch in rad) of the ground below each of them.
        lights: what the traffic lights show.
    """

    frame: int
    stamp_ns: int
    ego: EgoState
    pitch_rad: float
    acceleration_map: tuple[float, float, float]
    control: Control
    image: npt.NDArray[np.uint8]
    collisions: tuple[Collision, ...]
    lane_invasions: tuple[int, ...]
    others: Bodies
    others_ground: Sequence[Ground]
    lights: Lights
    beside: tuple[Callable[[], npt.NDArray[np.uint8]], ...] = ()


class Simulation:
    """One car on one map; it starts at rest at `spawn_pose(config.seed)`.

    Args:
        config: step, seed and camera.
        road_map: the roads.
        look: the light, whatever the configuration's appearance; None: as that says.

    Raises:
        WorldConfigError: the map has no lane to start on, or no room for the others.
        CameraError: the camera cannot exist.
    """

    def __init__(self, config: WorldConfig, road_map: RoadMap, look: Look | None = None) -> None:
        self.config = config
        self.road_map = road_map
        self._camera, *self._beside = self._cameras = [Camera(each) for each in config.cameras]
        self._changes_look = look is None and config.appearance != "plain"
        if look is not None:
            self._wear(look)
        try:
            self._scene = Scene(
                road_map,
                config.seed,
                traffic=config.traffic,
                pedestrians=config.pedestrians,
                scenery=config.scenery,
                lights=config.lights,
            )
        except ValueError as error:
            raise WorldConfigError(str(error)) from error
        self.surface = self._scene.surface
        if not self._scene.spawn_poses:
            lanes = [lane for _, lane in road_map.lane_graph.nodes(data="lane")]
            narrow = any(lane.junction_id is None for lane in lanes)
            width = f" is {NARROWEST_M} m wide" if narrow else ""
            raise WorldConfigError(
                f"map {road_map.name}: no lane outside junctions{width}; expected one to start on"
            )
        # Only a camera in or on the car would be blinded by it.
        self._unseen, *self._unseen_beside = (
            (_CAR_ID,) if MODEL_3.covers(each.x_m, each.y_m) else () for each in config.cameras
        )
        self._step_ns = round(config.fixed_delta_s * 1e9)
        self._frame = 0
        self._lane_invasion = LaneInvasion(road_map)
        # The others make room for it.
        self._car = Car(self.spawn_pose(config.seed), self._scene.terrain, falls=False)
        self._scene.cars[_CAR_ID] = self._car
        self.reset_pose(self._car.pose)

    def spawn_pose(self, seed: int | np.random.Generator) -> Pose:
        """A random pose to start at: the middle of a lane outside junctions, with the traffic."""
        rng = np.random.default_rng(seed)
        poses = self._scene.spawn_poses
        return poses[int(rng.integers(len(poses)))]

    def reset_pose(self, pose: Pose) -> None:
        """Set the car's pose, as the bridge's `set_transform`; the car keeps its velocity.

        The other road users are placed anew, away from the car, the look is drawn anew, and the
        lights begin anew, all by the seed and this pose alone: an episode that is driven again
        from its start meets the same world.

        Raises:
            WorldConfigError: the map has no room for the others.
        """
        self._car.place(pose)
        self._lane_invasion.restart(self._car.footprint())
        if self._changes_look:
            self._wear(look_of(self.config.appearance, self._rng_at(pose, 0)))
        try:
            self._scene.place_others(self._rng_at(pose, 1))
        except ValueError as error:
            raise WorldConfigError(str(error)) from error
        if self._scene.lights is not None:
            self._scene.lights.begin(self._rng_at(pose, 2))

    def park(self, pose: Pose) -> int:
        """Park a vehicle at a pose; returns its actor id.

        Raises:
            OccupiedError: something solid is there.
        """
        self._scene.check_free(pose, MODEL_3)
        return self._scene.others.parked.add(pose)

    def take_away(self, actor_id: int) -> bool:
        """Remove a parked vehicle; returns whether it was there."""
        return self._scene.others.parked.remove(actor_id)

    @property
    def others(self) -> Bodies | None:
        """The bodies of all other road users after the last step; None if there are none."""
        bodies = self._scene.others.bodies()
        return bodies if len(bodies.actor_ids) else None

    def set_target_velocity(
        self, forward_mps: float, left_mps: float = 0.0, yaw_rate_radps: float = 0.0
    ) -> None:
        """Set the car's velocity in its own frame (forward, left; left turn positive).

        Raises:
            ControlError: a value is not finite.
        """
        self._car.vehicle.set_velocity(forward_mps, left_mps, yaw_rate_radps)

    def step(self, control: Control) -> Tick:
        """Apply a command for one step.

        Raises:
            ControlError: a value is not finite.
        """
        self._car.control = control
        collisions = self._scene.step(self.config.fixed_delta_s)
        crossed = self._lane_invasion.update(self._car.footprint())
        self._frame += 1
        state = self._car.vehicle.state
        stamp_ns = self._frame * self._step_ns
        others = self._scene.others.bodies()
        return Tick(
            frame=self._frame,
            stamp_ns=stamp_ns,
            ego=EgoState(
                stamp_ns,
                state.pose,
                state.speed_mps,
                state.lateral_speed_mps,
                state.yaw_rate_radps,
            ),
            pitch_rad=self._car.ground.pitch_rad,
            acceleration_map=state.acceleration_mps2,
            control=control,
            image=self._picture(self._camera, self._unseen, state.pose),
            collisions=tuple(collisions),
            lane_invasions=crossed,
            others=others,
            others_ground=self._scene.terrain.under_all(others.poses),
            lights=NO_LIGHTS if self._scene.lights is None else self._scene.lights.shown(),
            beside=tuple(
                functools.cache(functools.partial(self._picture, camera, unseen, state.pose))
                for camera, unseen in zip(self._beside, self._unseen_beside, strict=True)
            ),
        )

    def _picture(self, camera: Camera, unseen: Sequence[int], pose: Pose) -> npt.NDArray[np.uint8]:
        return camera.render(self.surface, pose, self._scene.solids(unseen))

    def _wear(self, look: Look) -> None:
        for camera in self._cameras:
            camera.wear(look)

    def _rng_at(self, pose: Pose, purpose: int) -> np.random.Generator:
        """A random generator for a purpose at a place, which is rounded to 1 cm."""
        place = [round(metres * 100.0) % 2**32 for metres in (pose.x_m, pose.y_m)]
        return np.random.default_rng([self.config.seed, purpose, *place])
