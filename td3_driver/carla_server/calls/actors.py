# SPDX-License-Identifier: Apache-2.0
"""Calls about actors of any kind: spawning, finding, moving, destroying, several at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from td3_driver.carla_server.actors import Actor, VehicleActor, WalkerActor
from td3_driver.carla_server.axes import transform_of
from td3_driver.carla_server.rpc import Replied
from td3_driver.carla_server.server import Server
from td3_driver.carla_server.structures import (
    ActorDescription,
    BoundingBox,
    CallError,
    Transform,
    UInt32,
    Vector3D,
    VehicleControl,
    VehiclePhysicsControl,
    WalkerControl,
    decoder,
)

_NOT_SIMULATED = {
    3: "ApplyVehicleAckermannControl",
    11: "ApplyForce",
    12: "ApplyAngularImpulse",
    13: "ApplyTorque",
    20: "ConsoleCommand",
}


class ActorCalls:
    """Calls of `carla.Actor`, and of `carla.World` for actors."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get_spectator(self) -> list[Any]:
        """The eye of who watches, which nobody does here."""
        return self._server.episode.spectator.encoded()

    def get_actors_by_id(self, ids: list[int]) -> list[Any]:
        """Those that are there, each once."""
        actors = self._server.episode.actors
        return [actors[i].encoded() for i in dict.fromkeys(ids) if i in actors]

    def spawn_actor(self, description: ActorDescription, transform: Transform) -> list[Any]:
        """Put an actor into the world."""
        return self._server.episode.spawn(description, transform).encoded()

    def spawn_actor_with_parent(
        self,
        description: ActorDescription,
        transform: Transform,
        parent: int,
        attachment: Any = 0,
        socket: Any = "",
    ) -> list[Any]:
        """Attach an actor to another one, rigidly whatever is asked for."""
        return self._server.episode.spawn(description, transform, parent).encoded()

    def destroy_actor(self, actor_id: int) -> bool:
        """Take an actor out of the world."""
        if not self._server.episode.destroy(actor_id):
            raise CallError(f"unable to destroy actor {actor_id}: not found")
        return True

    def get_actor_bounding_box(self, actor_id: int) -> BoundingBox:
        """In the actor's own axes; of one that has gone it is empty, as CARLA's.

        An error would end a client whose traffic manager still asks for it.
        """
        actor = self._server.episode.actors.get(actor_id)
        return BoundingBox() if actor is None else actor.box

    def set_actor_transform(self, actor_id: int, transform: Transform) -> None:
        """Move an actor; it keeps its velocity."""
        self._server.episode.put(self._actor(actor_id), transform)

    def set_actor_location(self, actor_id: int, location: Vector3D) -> None:
        """Move an actor; it keeps its direction and velocity."""
        actor = self._actor(actor_id)
        attached = actor.relative is not None and actor.parent_id
        rotation = transform_of(
            actor.relative if attached and actor.relative else actor.pose
        ).rotation
        self._server.episode.put(actor, Transform(location, rotation))

    def set_actor_target_velocity(self, actor_id: int, velocity: Vector3D) -> None:
        """Give a car a velocity at once, in the map's axes."""
        vehicle = self._car(actor_id).car.vehicle
        vehicle.set_map_velocity(np.array([velocity.x, -velocity.y]))

    def set_actor_target_angular_velocity(self, actor_id: int, velocity: Vector3D) -> None:
        """Give a car a yaw rate at once."""
        vehicle = self._car(actor_id).car.vehicle
        state = vehicle.state
        vehicle.set_velocity(
            state.speed_mps, state.lateral_speed_mps, -math.radians(velocity.z)
        )

    def enable_actor_constant_velocity(self, actor_id: int, velocity: Vector3D) -> None:
        """Let a car keep a velocity, in its own axes, whatever the pedals say."""
        self._car(actor_id).car.constant_velocity_mps = (velocity.x, -velocity.y)

    def disable_actor_constant_velocity(self, actor_id: int) -> None:
        """Let the pedals decide again."""
        self._car(actor_id).car.constant_velocity_mps = None

    def add_actor_impulse(self, actor_id: int, impulse: Vector3D) -> None:
        """Push a car: kg m/s in the map's axes."""
        self._car(actor_id).car.push(np.array([impulse.x, -impulse.y]))

    def set_actor_simulate_physics(self, actor_id: int, enabled: bool) -> None:
        """Whether a car moves by itself."""
        actor = self._actor(actor_id)
        if isinstance(actor, VehicleActor):
            actor.car.simulate_physics = enabled

    def set_actor_collisions(self, actor_id: int, enabled: bool) -> None:
        """Whether a car, pedestrian or prop is solid."""
        solid = self._actor(actor_id).solid
        if solid is not None:
            solid.collides = enabled

    def set_actor_enable_gravity(self, actor_id: int, enabled: bool) -> None:
        """Without effect: what drives is on the ground."""
        self._actor(actor_id)

    def set_actor_dead(self, actor_id: int) -> None:
        """Without effect."""
        self._actor(actor_id)

    def apply_batch(self, commands: list[Any], tick: bool = False) -> Any:
        """Do many things at once; each has an answer of its own."""
        answers = [self._obeyed(command) for command in commands]
        server = self._server
        if tick and server.settings.synchronous_mode:
            return Replied(answers, server.tick)
        return answers

    def apply_control_to_vehicle(self, actor_id: int, control: VehicleControl) -> None:
        """Drive a car by this until the next command."""
        self._car(actor_id).command(control)

    def apply_control_to_walker(self, actor_id: int, control: WalkerControl) -> None:
        """Lead a pedestrian by this until the next command."""
        self._walker(actor_id).command(control)

    def set_walker_state(self, actor_id: int, transform: Transform, speed: float) -> None:
        """Move a pedestrian, as the client's own navigation does in each tick."""
        walker = self._walker(actor_id)
        self._server.episode.put(walker, transform)
        yaw_rad = math.radians(transform.rotation.yaw)
        along = Vector3D(math.cos(yaw_rad), math.sin(yaw_rad), 0.0)
        walker.command(WalkerControl(along, speed))

    def set_actor_autopilot(self, actor_id: int, enabled: bool) -> None:
        """Without effect: autopilots are in the client."""
        self._actor(actor_id)

    def _obeyed(self, command: Any) -> list[Any]:
        """The answer to one command of a batch."""
        try:
            match command:
                case [[int(index), [*arguments]]]:
                    return [[1, self._obey(index, arguments)]]
            raise CallError("a batch's command is [[index, [argument...]]]")
        except CallError as error:
            return [[0, [str(error)]]]

    def _obey(self, index: int, arguments: list[Any]) -> int:
        if index == 0:
            return self._spawn(arguments)
        obey = self._commands().get(index)
        if obey is None:
            command = _NOT_SIMULATED.get(index, f"a batch's command {index}")
            raise CallError(f"{command}: not simulated by this server")
        function, kinds = obey
        if len(arguments) < len(kinds):
            raise CallError(f"a batch's command {index}: {len(arguments)} arguments")
        values = [decoder(kind)(value) for kind, value in zip(kinds, arguments, strict=False)]
        function(*values)
        return int(values[0]) if kinds[:1] == (int,) else 0

    def _spawn(self, arguments: list[Any]) -> int:
        """Spawn, and then do what is to be done with the new actor.

        Nobody is told what of that fails, as in CARLA: the actor is there.
        """
        if len(arguments) < 3:
            raise CallError("a batch's spawn needs a description, a transform and a parent")
        description = decoder(ActorDescription)(arguments[0])
        transform = decoder(Transform)(arguments[1])
        parent = decoder(int | None)(arguments[2])
        actor = self._server.episode.spawn(description, transform, parent or 0)
        then = arguments[-1] if len(arguments) > 3 and isinstance(arguments[-1], list) else []
        for following in then:
            match following:
                case [[int(index), [_, *more]]]:
                    with contextlib.suppress(CallError):
                        self._obey(index, [actor.id, *more])
        return actor.id

    def _commands(self) -> dict[int, tuple[Callable[..., Any], tuple[Any, ...]]]:
        return {
            1: (self.destroy_actor, (int,)),
            2: (self.apply_control_to_vehicle, (int, VehicleControl)),
            4: (self.apply_control_to_walker, (int, WalkerControl)),
            5: (self._apply_physics, (int, VehiclePhysicsControl)),
            6: (self.set_actor_transform, (int, Transform)),
            7: (self.set_walker_state, (int, Transform, float)),
            8: (self.set_actor_target_velocity, (int, Vector3D)),
            9: (self.set_actor_target_angular_velocity, (int, Vector3D)),
            10: (self.add_actor_impulse, (int, Vector3D)),
            14: (self.set_actor_simulate_physics, (int, bool)),
            15: (self.set_actor_enable_gravity, (int, bool)),
            16: (self.set_actor_autopilot, (int, bool)),
            17: (self._show_telemetry, (int, bool)),
            18: (self._set_light_state, (int, UInt32)),
            19: (self.set_actor_location, (int, Vector3D)),
        }

    def _apply_physics(self, actor_id: int, control: VehiclePhysicsControl) -> None:
        self._car(actor_id).apply_physics(control)

    def _show_telemetry(self, actor_id: int, enabled: bool) -> None:
        self._car(actor_id)

    def _set_light_state(self, actor_id: int, state: int) -> None:
        self._car(actor_id).light_state = state

    def _actor(self, actor_id: int) -> Actor:
        return self._server.episode.actor(actor_id)

    def _car(self, actor_id: int) -> VehicleActor:
        actor = self._actor(actor_id)
        if not isinstance(actor, VehicleActor):
            raise CallError(f"actor {actor_id} is a {actor.kind}; expected a vehicle of a client")
        return actor

    def _walker(self, actor_id: int) -> WalkerActor:
        actor = self._actor(actor_id)
        if not isinstance(actor, WalkerActor):
            raise CallError(f"actor {actor_id} is a {actor.kind}; expected a pedestrian")
        return actor
