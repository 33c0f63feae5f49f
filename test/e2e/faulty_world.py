# SPDX-License-Identifier: Apache-2.0
"""The embedded world behind real topics, ticked by a test, which may spoil what it publishes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl, CarlaEgoVehicleStatus, CarlaWorldInfo
from derived_object_msgs.msg import Object, ObjectArray
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Pose, Twist
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry, Path
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from td3_driver.bridge_twin.messages import TickMessages
from td3_driver.driving.messages.decoding import control_of, pose_of, stamp_ns
from td3_driver.driving.messages.topics import WORLD_INFO
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import FULL_BRAKE, Control
from td3_driver.driving.view import WHOLE_VIEW, ViewConfig
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import MESSAGES, stamp_of
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

from .running import ESTABLISHED, PATIENCE_S, Program

Messages = dict[str, Any]
TOPICS = names.EgoTopics("ego_vehicle", "rgb_front", "control")


class FaultyWorld:
    """A lock-step world whose every tick is the test's.

    Args:
        seed: of its first town.
        view: the cameras on its car; those beside the first publish under their ids, before it.
    """

    def __init__(self, seed: int = 0, view: ViewConfig = WHOLE_VIEW) -> None:
        self._view = view
        self._context = rclpy.Context()
        self._context.init(args=[])
        self.node = rclpy.create_node("faulty_world", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.offset_ns = 0  # of the stamps, against the simulation's
        self.early_ns = 0  # stamp of a frame from before the driver was ready
        self.human: Control | None = None
        self.users: list[Object] | None = None  # who else is on the road; None: nobody tells
        self.commands: list[CarlaEgoVehicleControl] = []
        self.routes: list[Path] = []
        self.episodes: list[dict[str, str]] = []
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self._diagnosed_ns = 0  # when the driver told the last of them
        self._diagnosed = 0  # how often it did since `begin`
        self._control = Control()
        publish, default = self.node.create_publisher, names.VOLATILE_10
        self._publishers = {
            "odometry": publish(Odometry, TOPICS.of("odometry"), default),
            "status": publish(CarlaEgoVehicleStatus, TOPICS.of("vehicle_status"), default),
            "objects": publish(ObjectArray, TOPICS.objects, default),
            "image": publish(Image, TOPICS.image, default),
        }
        for mount in view.beside:
            topic = TOPICS.of(f"{mount.id}/image")
            self._publishers[mount.id] = publish(Image, topic, default)
        self._world_info = publish(CarlaWorldInfo, WORLD_INFO, names.LATCHED_10)
        self._override = publish(Bool, TOPICS.manual_override, names.LATCHED_1)
        listen = self.node.create_subscription
        listen(Pose, TOPICS.set_transform, self._on_transform, default)
        listen(Twist, TOPICS.set_target_velocity, self._on_velocity, default)
        listen(CarlaEgoVehicleControl, TOPICS.control, self.commands.append, 1000)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, default)
        listen(Path, "/td3_driver/route", self.routes.append, names.LATCHED_1)
        listen(DiagnosticStatus, "/td3_driver/episode", self._on_episode, default)
        self.enter_town(seed)

    def enter_town(self, seed: int) -> None:
        """Another map, with the car somewhere on it."""
        config = WorldConfig(
            seed=seed, cameras=(CameraConfig(width_px=64, height_px=48),)
        ).through(self._view)
        self.road_map = RoadMap(generate_opendrive(seed), f"generated_{seed}")
        self._simulation = Simulation(config, self.road_map)
        self._messages = TickMessages(MESSAGES, TOPICS.role_name, config)
        self.announce(self.road_map.name, self.road_map.opendrive)

    def announce(self, name: str, opendrive: str) -> None:
        """Say what the town is called and what its roads are, true or not."""
        self._world_info.publish(CarlaWorldInfo(map_name=name, opendrive=opendrive))

    def tick(
        self,
        spoil: Callable[[Messages], None] = lambda messages: None,
        skip: Collection[str] = (),
    ) -> int:
        """One step of the world and what it publishes of it; the stamp, ns."""
        if self.commands:
            self._control = control_of(self.commands[-1])
        control = self.human or self._control
        tick = self._simulation.step(control)
        messages = {
            "odometry": self._messages.odometry(tick),
            "status": self._messages.status(tick),
            **{
                mount.id: self._messages.image_beside(tick, mount.id, number)
                for number, mount in enumerate(self._view.beside)
            },
            "image": self._messages.image(tick, TOPICS.camera),
        }
        if self.users is not None:
            messages["objects"] = ObjectArray(objects=self.users)
        now_ns = tick.stamp_ns + self.offset_ns
        for message in messages.values():
            message.header.stamp = stamp_of(now_ns)
        spoil(messages)
        for name, message in messages.items():
            if name not in skip:
                self._publishers[name].publish(message)
        return now_ns

    def tell(self, **messages: Any) -> None:
        """Publish what a tick was made to skip."""
        for name, message in messages.items():
            self._publishers[name].publish(message)

    def everywhere(self) -> Object:
        """A standing box that covers the town: whoever drives is about to hit it."""
        box = SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[1e4, 1e4, 1.5])
        return Object(id=1000, shape=box)

    @property
    def heard(self) -> bool:
        """Somebody listens to the cameras and the odometry."""
        needed = ("image", "odometry", *(mount.id for mount in self._view.beside))
        listened = (self._publishers[name] for name in needed)
        return all(publisher.get_subscription_count() for publisher in listened)

    def answers(self, stamp: int) -> list[CarlaEgoVehicleControl]:
        """The commands for a frame so far."""
        return [command for command in self.commands if stamp_ns(command.header.stamp) == stamp]

    def step(
        self,
        spoil: Callable[[Messages], None] = lambda messages: None,
        skip: Collection[str] = (),
    ) -> Control:
        """A tick, and the driver's one command for it."""
        stamp = self.tick(spoil, skip)
        self.spin(lambda: bool(self.answers(stamp)), f"answer to {stamp}")
        (command,) = self.answers(stamp)
        self._control = control_of(command)
        return self._control

    def begin(self) -> None:
        """Tick until the driver answers: it may not have been there for the first frames.

        The bridge does so too: it waits a second for a command and goes on.
        """
        self._diagnosed = 0
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            stamp, patience_s = self.tick(), time.monotonic() + 1.0
            while time.monotonic() < patience_s:
                if self.answers(stamp):
                    return
                self.spin_for(0.01)
        raise AssertionError(f"no frame was answered in {PATIENCE_S} s")

    def step_until(self, condition: Callable[[], bool], steps: int = 400) -> None:
        """Go on until a condition holds: so many steps at least, and as long as anything may take.

        What is told of a step on another topic, or in the log, comes some steps later.
        """
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            steps -= 1
            assert steps > 0 or time.monotonic() < end_s, "it did not come"
            self.step()

    def until_established(self) -> None:
        """The driver is no newcomer any more, who is the one to leave where there are two."""
        what = "a driver that has looked for long enough"
        self.spin(lambda: self._diagnosed >= ESTABLISHED, what)

    def go_on(self, driver: Program, until: Callable[[], bool] = lambda: False) -> None:
        """Tick, and wait for each answer, until the driver has ended.

        Longer than the bridge: a driver that a busy machine kept from answering is a frame late.

        Args:
            driver: who may end at any moment.
            until: a condition that is enough, too.
        """
        end_s = time.monotonic() + 2.0 * PATIENCE_S
        while driver.process.poll() is None and not until():
            assert time.monotonic() < end_s, driver.output
            stamp, patience_s = self.tick(), time.monotonic() + 5.0
            while not self.answers(stamp) and time.monotonic() < patience_s:
                if driver.process.poll() is not None:
                    return
                self.spin_for(0.02)

    def run(
        self,
        seconds: float = PATIENCE_S,
        skip: Collection[str] = (),
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Tick at 20 Hz whether the driver answers or not, as a world in real time does.

        Args:
            seconds: for how long; where there is a condition, it has to come by then.
            skip: what is not published.
            until: a condition that ends it.
        """
        end_s = due_s = time.monotonic()
        end_s += seconds
        while due_s < end_s:
            if until is not None and until():
                return
            self.tick(skip=skip)
            due_s += 0.05
            self.spin_for(due_s - time.monotonic())
            if self.commands:
                self._control = control_of(self.commands[-1])
        assert until is None, f"not within {seconds} s"

    def spin(self, until: Callable[[], bool], what: str = "condition") -> None:
        """Serve topics until a condition holds."""
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end_s, f"not within {PATIENCE_S} s: {what}"
            self._executor.spin_once(timeout_sec=0.05)

    def until_braked(self) -> None:
        """The last command, which may be on its way still, is a full brake."""
        last = self.commands
        self.spin(lambda: control_of(last[-1]) == FULL_BRAKE, "a brake as the last command")

    def spin_for(self, seconds: float) -> None:
        """Serve topics for so long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left_s)

    def take_over(self, control: Control | None) -> None:
        """A human drives with this control, or lets go."""
        self.human = control
        self._override.publish(Bool(data=control is not None))

    def ask(self, kind: type, name: str, request: Any) -> None:
        """Call a service that may never answer."""
        client = self.node.create_client(kind, name)
        self.spin(client.service_is_ready, f"service {name}")
        client.call_async(request)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """A service's answer."""
        client = self.node.create_client(kind, name)
        self.spin(client.service_is_ready, f"service {name}")
        future = client.call_async(request)
        self.spin(future.done, f"answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def trigger(self, name: str) -> Trigger.Response:
        """A checkpoint service's answer."""
        return self.call(Trigger, name, Trigger.Request())

    def set_parameter(self, name: str, value: Any) -> Any:
        """The result of setting the driver's parameter."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        return self.call(SetParameters, "/td3_driver/set_parameters", request).results[0]

    def change_state(self, transition: int) -> bool:
        """Ask for a lifecycle transition."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, "/td3_driver/change_state", request).success

    def state(self) -> str:
        """The driver's lifecycle state."""
        return self.call(GetState, "/td3_driver/get_state", GetState.Request()).current_state.label

    def values(self, name: str) -> dict[str, str]:
        """A status of `/diagnostics`, as strings: how it is now, not when it was last told."""
        now_ns = time.time_ns()
        self.spin(lambda: self._diagnosed_ns > now_ns, "fresh /diagnostics")
        return diagnostics.values(self.diagnostics[name])

    def diagnostics_of(self, name: str) -> dict[str, str]:
        """The last status heard, which may be old."""
        status = self.diagnostics.get(name)
        return diagnostics.values(status) if status else {}

    def safety(self) -> str:
        """What the safety status says now."""
        self.values("td3_driver: safety")
        return self.diagnostics["td3_driver: safety"].message

    def learner_hangs(self) -> bool:
        """The driver says so now. The log tells of what comes and goes only at first."""
        return "the learner has not answered for" in self.safety()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _on_transform(self, message: Pose) -> None:
        self._simulation.reset_pose(pose_of(message))

    def _on_velocity(self, message: Twist) -> None:
        self._simulation.set_target_velocity(message.linear.x, message.linear.y, 0.0)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._diagnosed_ns = stamp_ns(message.header.stamp)
        self._diagnosed += 1
        self.diagnostics |= {status.name: status for status in message.status}

    def _on_episode(self, message: DiagnosticStatus) -> None:
        self.episodes.append({**diagnostics.values(message), "ended": message.message})
