# SPDX-License-Identifier: Apache-2.0
"""Everything solid in one town: cars that are commanded, walkers that are led, props, others.

The same calls give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import NARROWEST_M, RoadMap, pose_of
from td3_driver.driving.types import NO_LIGHTS, Pose
from td3_driver.opendrive.lane import Lane
from td3_driver.world.bodies.boxes import NOBODY, Bodies, Body, everybody, penetration
from td3_driver.world.bodies.car import Car
from td3_driver.world.bodies.contact import Contact, Impulse, collide, strike
from td3_driver.world.bodies.shapes import Shapes, joined, of_bodies, of_boxes
from td3_driver.world.bodies.solid import Prop, Solid
from td3_driver.world.bodies.vehicle import MODEL_3
from td3_driver.world.bodies.walker import LedWalker
from td3_driver.world.camera.scenery import grow
from td3_driver.world.camera.signposts import Signposts
from td3_driver.world.ground.lane_paint import places_along
from td3_driver.world.ground.surface import Surface
from td3_driver.world.ground.terrain import Terrain
from td3_driver.world.semantic_class import SemanticClass
from td3_driver.world.traffic.others import Others, are_pedestrians
from td3_driver.world.traffic_lights import TrafficLights

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Traffic has actor ids from 1000 on, pedestrians from 2000, parked vehicles from 20000.
RESERVED_IDS = range(1000, 1_000_000)

_SPAWN_SPACING_M = 2.0
_PERSON_M = (0.38, 0.38, 1.86)  # CARLA's walkers


class OccupiedError(ValueError):
    """A place is occupied by something solid."""


@dataclass(frozen=True)
class Collision:
    """A collision of one body.

    Attributes:
        actor_id: whose; of two bodies of a `Scene` that collide, each has one.
        other_actor_id: with whom; 0 for the world's still parts.
        impulse: on `actor_id` along x, y, z of the ROS map frame, kg m/s.
    """

    actor_id: int
    other_actor_id: int
    impulse: Impulse


def spawn_poses_on(lanes: Sequence[Lane]) -> list[Pose]:
    """The middles of lanes outside junctions, with the traffic, where they are wide enough."""
    places = places_along(lanes, _SPAWN_SPACING_M)
    return [pose_of(place) for place in places if place.width_m >= NARROWEST_M]


class Scene:
    """A town and all that is in it; nobody at first but traffic and pedestrians.

    The caller gives cars, walkers and props their actor ids: any positive number that is not in
    `RESERVED_IDS`, which are those of the others.

    Args:
        road_map: the roads.
        seed: of the ground's texture, the scenery, and where the others are at first.
        traffic, pedestrians: number of other vehicles and of pedestrians, 0 or more.
        scenery: buildings and trees beside the roads.
        lights: traffic lights and stop signs where the map has them, which traffic obeys.

    Attributes:
        road_map, surface, terrain: roads and ground.
        spawn_poses: the middles of lanes outside junctions, with the traffic; may be empty.
        cars, walkers, props: by actor id, in the order in which they were added.
        others: traffic, pedestrians, parked vehicles.
        lights: the traffic lights and signs, or None.

    Raises:
        ValueError: the map has no room for the others, or cannot be drawn.
    """

    def __init__(
        self,
        road_map: RoadMap,
        seed: int = 0,
        *,
        traffic: int = 0,
        pedestrians: int = 0,
        scenery: bool = False,
        lights: bool = False,
    ) -> None:
        self.road_map = road_map
        self.surface = Surface(road_map, seed)
        self.terrain = Terrain(road_map)
        graph_lanes = [lane for _, lane in road_map.lane_graph.nodes(data="lane")]
        self.spawn_poses = spawn_poses_on(graph_lanes)
        self.cars: dict[int, Car] = {}
        self.walkers: dict[int, LedWalker] = {}
        self.props: dict[int, Prop] = {}
        self.lights = TrafficLights(road_map) if lights else None
        self._contact = Contact(self.surface)
        lanes = self.surface.lanes
        self._scenery = grow(lanes, self.surface, seed) if scenery else None
        self._signposts = Signposts(road_map, self.surface) if lights else None
        self.others = Others(
            road_map, lanes, self.surface, traffic, pedestrians, regulated=lights
        )
        self._known: dict[int, tuple[Pose, float]] = {}
        self.place_others(np.random.default_rng(seed))

    def place_others(self, rng: np.random.Generator) -> None:
        """Place traffic and pedestrians anew, nobody near a car, walker or prop.

        Raises:
            ValueError: the map has no room for them.
        """
        self._known.clear()
        try:
            self.others.restart([solid.pose for _, solid in self._everything()], rng)
        except ValueError as error:
            raise ValueError(f"map {self.road_map.name}: {error}") from error

    def add_car(self, actor_id: int, pose: Pose, body: Body = MODEL_3) -> Car:
        """Add a car, at rest; one above the ground falls. It drives as a Model 3 in any body.

        Raises:
            OccupiedError: something solid is there.
            ValueError: `actor_id` is taken, or a number of the pose is not finite.
        """
        self._check_id(actor_id)
        car = Car(pose, self.terrain, body)
        self.check_free(car.pose, body)
        self.cars[actor_id] = car
        return car

    def add_walker(
        self, actor_id: int, pose: Pose, size_m: tuple[float, float, float] = _PERSON_M
    ) -> LedWalker:
        """Add a walker, who stands until told where to walk.

        Args:
            actor_id: as the class says.
            pose: where.
            size_m: length, width and height.

        Raises:
            OccupiedError: another body is there.
            ValueError: `actor_id` is taken, or a number of the pose is not finite.
        """
        self._check_id(actor_id)
        walker = LedWalker(pose, size_m, self.terrain)
        self._check_apart(walker.pose, walker.body)
        self.walkers[actor_id] = walker
        return walker

    def add_prop(self, actor_id: int, pose: Pose, size_m: tuple[float, float, float]) -> Prop:
        """Add a box of length, width and height `size_m` that nothing moves, whatever is there.

        Raises:
            ValueError: `actor_id` is taken, or a number of the pose is not finite.
        """
        self._check_id(actor_id)
        body = Body(*size_m, math.inf, semantic_class=SemanticClass.STATIC)
        self.props[actor_id] = prop = Prop(pose, body)
        return prop

    def remove(self, actor_id: int) -> bool:
        """Remove a car, walker, prop or other; returns whether there was one of that actor id."""
        groups: tuple[dict[int, Car] | dict[int, LedWalker] | dict[int, Prop], ...]
        groups = self.cars, self.walkers, self.props
        ours = any(group.pop(actor_id, None) is not None for group in groups)
        return ours or self.others.remove(actor_id)

    def check_free(self, pose: Pose, body: Body) -> None:
        """Refuse a place for a car where something solid is, obstacles beside the road included.

        Raises:
            OccupiedError: something is there.
        """
        if self._contact.blocked(pose, body):
            raise _occupied(pose)
        self._check_apart(pose, body)

    def step(self, dt_s: float) -> list[Collision]:
        """Simulate `dt_s`, s; returns the collisions of cars and walkers.

        A car without physics is solid to cars and walkers, not to the others, who drive round it
        or stop.
        """
        before = [car.pose for car in self.cars.values()]
        for car in self.cars.values():
            car.drive(dt_s)
        for walker in self.walkers.values():
            walker.walk(dt_s)
        if self.others.heeding:
            shown = NO_LIGHTS if self.lights is None else self.lights.shown()
            self.others.step(dt_s, _bodies_of(self.cars), self._kept_free(), shown)
        else:
            self.others.step(dt_s, NOBODY)
        collisions = self._collide()
        for (actor_id, car), start in zip(self.cars.items(), before, strict=True):
            if car.collides and car.simulate_physics and not car.rests:
                impulse = self._contact.resolve(car.vehicle, start)
                if impulse is not None:  # the world's still parts have no actor of their own
                    collisions.append(Collision(actor_id, 0, impulse))
            car.settle(dt_s)
        if self.lights is not None:
            self.lights.step(dt_s)
        return collisions

    def bodies(self, without: Collection[int] = ()) -> Bodies:
        """The bodies of cars, walkers, props and others, but not those of the ids `without`."""
        ours = (_bodies_of(group, without) for group in (self.cars, self.walkers, self.props))
        return everybody(*ours, self._others(without))

    def solids(self, without: Collection[int] = ()) -> Shapes | None:
        """All that stands on the ground, without the bodies of these ids; None for nothing."""
        drawn: list[Shapes] = [] if self._scenery is None else [self._scenery]
        if self._signposts is not None and self.lights is not None:
            drawn.append(self._signposts.shapes(self.lights.shown()))
        cars = _bodies_of(self.cars, without)
        if len(cars.actor_ids):
            kinds = [self.cars[i].body.semantic_class for i in cars.actor_ids.tolist()]
            drawn.append(of_bodies(cars, np.array(kinds, np.uint8)))
        rest = everybody(_bodies_of(self.walkers, without), self._others(without))
        if len(rest.actor_ids):
            drawn.append(of_bodies(rest))
        props = _bodies_of(self.props, without)
        if len(props.actor_ids):
            drawn.append(of_boxes(props))
        return joined(*drawn) if drawn else None

    def _others(self, without: Collection[int]) -> Bodies:
        bodies = self.others.bodies()
        hidden = np.isin(bodies.actor_ids, [*without]) if without else None
        return bodies if hidden is None or not hidden.any() else bodies.rows(~hidden)

    def _everything(self) -> list[tuple[int, Solid]]:
        return [*self.cars.items(), *self.walkers.items(), *self.props.items()]

    def _solid(self) -> list[tuple[int, Solid]]:
        return [(actor_id, solid) for actor_id, solid in self._everything() if solid.collides]

    def _kept_free(self) -> Bodies:
        """The ground of walkers and solid props, for the others to heed."""
        walkers = _bodies_of(self.walkers)
        props = _bodies_of({key: prop for key, prop in self.props.items() if prop.collides})
        if len(self.walkers):
            ways = [walker.way() for walker in self.walkers.values()]
            poses, sizes_m = (np.array(column) for column in zip(*ways, strict=True))
            rest = np.zeros((len(ways), 2))
            walkers = Bodies.steady(
                walkers.actor_ids, poses, sizes_m, rest, walkers.masses_kg, walkers.colors_bgr
            )
        return everybody(walkers, props)

    def _check_apart(self, pose: Pose, body: Body) -> None:
        wanted = Prop(pose, body)
        circle, box = _circles([wanted]), wanted.footprint()
        solids = [solid for _, solid in self._solid() if _levels_meet(wanted, solid)]
        near = np.flatnonzero(_touching(circle, _circles(solids))[0])
        there = [solids[row].footprint() for row in near.tolist()]
        others = self.others.bodies()
        there += [*others.rows(_touching(circle, _circles_of(others))[0]).corners()]
        if any(penetration(box, other) for other in there):
            raise _occupied(pose)

    def _collide(self) -> list[Collision]:
        solids = self._solid()
        awake = self._awake(solids)
        collisions: list[Collision] = []
        others = self.others.bodies()
        if len(others.actor_ids):
            collisions += self._collide_with_others(solids, awake, others)
        if len(solids) > 1 and awake.any():
            collisions += _collide_with_each_other(solids, awake)
        return collisions

    def _awake(self, solids: list[tuple[int, Solid]]) -> BoolArray:
        """(S,) bool: which move, or were moved or changed since the last step."""
        known = {actor_id: (solid.pose, solid.mass_kg) for actor_id, solid in solids}
        awake = [
            known[actor_id] != self._known.get(actor_id) or solid.map_velocity() != (0.0, 0.0)
            for actor_id, solid in solids
        ]
        self._known = known
        return np.array(awake, np.bool_)

    def _collide_with_others(
        self, solids: list[tuple[int, Solid]], awake: BoolArray, others: Bodies
    ) -> list[Collision]:
        collisions = []
        near = _touching(_circles([solid for _, solid in solids]), _circles_of(others))
        near &= awake[:, None] | others.velocities_mps.any(axis=1)
        walking = are_pedestrians(others.actor_ids)
        for row in np.flatnonzero(near.any(axis=1)).tolist():
            actor_id, solid = solids[row]
            struck: Iterable[tuple[int, Impulse]] = ()
            if isinstance(solid, Car) and solid.simulate_physics:
                struck = strike(solid.vehicle, others)
                for index, impulse in struck:
                    self.others.push(index, -np.array(impulse[:2]))
            elif not isinstance(solid, Prop):
                rows = near[row] & ~walking if isinstance(solid, LedWalker) else near[row]
                struck = self.others.meet(solid, others, np.flatnonzero(rows).tolist())
            for index, impulse in struck:
                collisions.append(Collision(actor_id, int(others.actor_ids[index]), impulse))
        return collisions

    def _check_id(self, actor_id: int) -> None:
        if actor_id <= 0 or actor_id in RESERVED_IDS:
            raise ValueError(
                f"actor id {actor_id}; expected 1 to {RESERVED_IDS.start - 1} or "
                f"{RESERVED_IDS.stop} and more, the rest being traffic, pedestrians and parked"
            )
        if any(actor_id in group for group in (self.cars, self.walkers, self.props)):
            raise ValueError(f"actor id {actor_id} is taken; expected another one")


def _collide_with_each_other(
    solids: list[tuple[int, Solid]], awake: BoolArray
) -> list[Collision]:
    collisions = []
    circles = _circles([solid for _, solid in solids])
    moving = np.flatnonzero(awake)
    for first, second in np.argwhere(_touching(circles[moving], circles)).tolist():
        first = int(moving[first])
        if first == second or (awake[second] and second < first):
            continue  # a pair of two that move is found twice
        (one_id, one), (other_id, other) = solids[first], solids[second]
        if isinstance(one, LedWalker) and isinstance(other, LedWalker):
            continue  # people make room for each other
        impulse = collide(one, other) if _levels_meet(one, other) else None
        if impulse is not None:
            x, y, z = impulse
            collisions.append(Collision(one_id, other_id, impulse))
            collisions.append(Collision(other_id, one_id, (-x, -y, -z)))
    return collisions


def _levels_meet(one: Solid, other: Solid) -> bool:
    """Whether neither is wholly above the other."""
    return (
        one.pose.z_m < other.pose.z_m + other.body.height_m
        and other.pose.z_m < one.pose.z_m + one.body.height_m
    )


def _circles(solids: list[Solid]) -> FloatArray:
    """(S, 3) x, y and radius, m, of circles round boxes."""
    rows = [(solid.pose.x_m, solid.pose.y_m, solid.body.diagonal_m / 2.0) for solid in solids]
    return np.array(rows).reshape(-1, 3)


def _circles_of(bodies: Bodies) -> FloatArray:
    radii_m = np.hypot(bodies.sizes_m[:, 0], bodies.sizes_m[:, 1]) / 2.0
    return np.column_stack([bodies.poses[:, :2], radii_m])


def _touching(ours: FloatArray, theirs: FloatArray) -> BoolArray:
    """(N, M) bool: which of (N, 3) circles touch which of (M, 3)."""
    apart = ours[:, None] - theirs
    reach_m = ours[:, None, 2] + theirs[:, 2]
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]) <= reach_m)


def _bodies_of(solids: Mapping[int, Solid], without: Collection[int] = ()) -> Bodies:
    found = [(actor_id, solid) for actor_id, solid in solids.items() if actor_id not in without]
    if not found:
        return NOBODY
    poses = [solid.pose for _, solid in found]
    sizes = [(s.body.length_m, s.body.width_m, s.body.height_m) for _, s in found]
    return Bodies(
        np.array([actor_id for actor_id, _ in found], np.int64),
        np.array([(pose.x_m, pose.y_m, pose.yaw_rad) for pose in poses]),
        np.array(sizes),
        np.array([solid.map_velocity() for _, solid in found]),
        np.array([solid.mass_kg for _, solid in found]),
        np.array([solid.body.color_bgr for _, solid in found]),
        np.array([solid.yaw_rate_radps for _, solid in found]),
        np.array([solid.acceleration_mps2 for _, solid in found]),
    )


def _occupied(pose: Pose) -> OccupiedError:
    return OccupiedError(f"({pose.x_m:g}, {pose.y_m:g}) m: something stands there")
