# SPDX-License-Identifier: Apache-2.0
"""CARLA 0.9.16's blueprint library: what can be spawned, and the attributes that it may have.

Attributes, their types, values and recommended values are those that CARLA's server makes
(ActorBlueprintFunctionLibrary, docs/bp_library); who is there, and how large, is in `catalogue`.
**Plausible, not CARLA's**: colours and drivers, and the names of props' sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from td3_driver.carla_server.library.attributes import (
    Attribute,
    AttributeType,
    fixed,
    floats,
    variation,
)
from td3_driver.carla_server.library.catalogue import (
    PROPS,
    VEHICLES,
    WALKERS,
    VehicleModel,
    WalkerModel,
)
from td3_driver.carla_server.library.sensor_attributes import sensors


class ActorDefinition(NamedTuple):
    """A blueprint in the order of the wire; `tags` are the parts of its id."""

    uid: int
    id: str
    tags: str
    attributes: list[Attribute]


class Box(NamedTuple):
    """Sizes of an upright box; `center_z_m` is its middle's height above the actor's place.

    CARLA's vehicles and props have their place on the ground, pedestrians in their middle.
    """

    length_m: float
    width_m: float
    height_m: float
    center_z_m: float


@dataclass(frozen=True)
class Blueprint:
    """What can be spawned.

    Attributes:
        definition: what clients are told.
        box: its size; None for what has no body.
        mass_kg: None for what does not move.
        simulated: the embedded world has it; what it has not can be found, but not spawned.
    """

    definition: ActorDefinition
    box: Box | None = None
    mass_kg: float | None = None
    simulated: bool = True

    @property
    def id(self) -> str:
        """CARLA's name, as "vehicle.tesla.model3"."""
        return self.definition.id

    @cached_property
    def values(self) -> dict[str, str]:
        """The attributes' own values, by name."""
        return {attribute.id: attribute.value for attribute in self.definition.attributes}

    @property
    def base_type(self) -> str:
        """The kind of vehicle, as "car"; "" for what is none, and for two cars of CARLA's."""
        return self.values.get("base_type", "")


def definitions() -> list[ActorDefinition]:
    """All blueprints, as `get_actor_definitions` sends them."""
    return [blueprint.definition for blueprint in LIBRARY.values()]


def _flag(*, on: bool) -> str:
    return "true" if on else "false"


_UIDS = itertools.count(1)


def _definition(
    name: str, attributes: Sequence[Attribute], roles: Sequence[str] = ("default",)
) -> ActorDefinition:
    tags = name.replace(".", ",")
    common = [
        variation("role_name", AttributeType.STRING, *roles),
        variation("ros_name", AttributeType.STRING, name),
    ]
    return ActorDefinition(next(_UIDS), name, tags, [*common, *attributes])


_COLORS = (
    "17,37,103", "65,65,65", "75,87,173", "137,0,0", "180,44,44", "255,255,255", "36,33,36",
)  # fmt: skip
_VEHICLE_ROLES = ("autopilot", "scenario", "ego_vehicle")
_UNPAINTED = frozenset({"tesla.cybertruck", "carlamotors.european_hgv", "mitsubishi.fusorosa"})
_WITH_DRIVER = frozenset({"motorcycle", "bicycle"})


def _vehicle(model: VehicleModel) -> Blueprint:
    attributes = []
    if model.name not in _UNPAINTED:
        attributes.append(variation("color", AttributeType.COLOR, *_COLORS))
    two_wheeled = model.base in _WITH_DRIVER
    if two_wheeled or model.name == "lincoln.mkz_2020":
        drivers = [str(number) for number in range(1, 9)]
        attributes.append(variation("driver_id", AttributeType.INT, *drivers, restricted=True))
    attributes += [
        variation("sticky_control", AttributeType.BOOL, "true"),
        variation("terramechanics", AttributeType.BOOL, "false"),
        fixed("object_type", AttributeType.STRING, ""),
        fixed("base_type", AttributeType.STRING, model.base),
        fixed("special_type", AttributeType.STRING, model.special),
        fixed("number_of_wheels", AttributeType.INT, "2" if two_wheeled else "4"),
        fixed("generation", AttributeType.INT, str(model.generation)),
        fixed("has_dynamic_doors", AttributeType.BOOL, _flag(on=model.doors)),
        fixed("has_lights", AttributeType.BOOL, _flag(on=model.lights)),
    ]
    return Blueprint(
        _definition(f"vehicle.{model.name}", attributes, _VEHICLE_ROLES),
        Box(model.length_m, model.width_m, model.height_m, model.height_m / 2.0),
        model.mass_kg,
    )


_SPEEDS_MPS = ("0.0", "1.4", "2.8")  # standing, walking, running
_ADULT_KG, _CHILD_KG = 75.0, 30.0


def _walker(model: WalkerModel) -> Blueprint:
    adult = model.age == "adult"
    in_wheelchair = adult and model.generation > 1
    chairs = ("false", "true") if in_wheelchair else ("false",)
    attributes = [
        fixed("gender", AttributeType.STRING, model.gender),
        fixed("generation", AttributeType.INT, str(model.generation)),
        fixed("age", AttributeType.STRING, model.age),
        fixed("can_use_wheelchair", AttributeType.BOOL, _flag(on=in_wheelchair)),
        variation("speed", AttributeType.FLOAT, *_SPEEDS_MPS),
        variation("is_invincible", AttributeType.BOOL, "true"),
        variation("use_wheelchair", AttributeType.BOOL, *chairs, restricted=True),
    ]
    return Blueprint(
        _definition(f"walker.pedestrian.{model.number:04d}", attributes, ("pedestrian",)),
        Box(model.length_m, model.width_m, model.height_m, 0.0),
        _ADULT_KG if adult else _CHILD_KG,
    )


# The longest side of a prop up to which it has a size's name.
_SIZES_M = ((0.25, "tiny"), (0.75, "small"), (1.75, "medium"), (4.0, "big"))


def _prop(name: str, size_m: tuple[float, float, float]) -> Blueprint:
    named = next((text for limit_m, text in _SIZES_M if max(size_m) <= limit_m), "huge")
    attributes = [fixed("size", AttributeType.STRING, named)]
    return Blueprint(
        _definition(f"static.prop.{name}", attributes, ("prop",)),
        Box(*size_m, size_m[2] / 2.0),
    )


def _blueprints() -> Iterator[Blueprint]:
    yield from map(_vehicle, VEHICLES)
    yield from map(_walker, WALKERS)
    for name, size_m in PROPS.items():
        yield _prop(name, size_m)
    for sensor in sensors():
        definition = _definition(f"sensor.{sensor.name}", sensor.attributes, sensor.roles)
        yield Blueprint(definition, simulated=sensor.simulated)
    mesh = [
        variation("mesh_path", AttributeType.STRING, ""),
        *floats("mass 0.0, scale 1.0"),
    ]
    yield Blueprint(_definition("static.prop.mesh", mesh, ("prop",)), simulated=False)
    friction = floats("friction 3.5, extent_x 1.0, extent_y 1.0, extent_z 1.0")
    yield Blueprint(_definition("static.trigger.friction", friction), simulated=False)
    yield Blueprint(_definition("controller.ai.walker", []))


LIBRARY = {blueprint.id: blueprint for blueprint in _blueprints()}
