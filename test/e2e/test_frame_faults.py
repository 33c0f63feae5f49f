# SPDX-License-Identifier: Apache-2.0
"""Bad frames, bad times, bad neighbours: the driver brakes, says so, and goes on when it can.

One driver process for all; each test leaves it driving.
"""

import array
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from carla_msgs.msg import CarlaEgoVehicleControl, CarlaEgoVehicleStatus
from std_msgs.msg import Float32MultiArray

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.messages.decoding import stamp_ns
from td3_driver.driving.types import FULL_BRAKE, Control
from td3_driver.replay.buffer import Replay
from td3_driver.replay.file import ReplayLink, restore

from .faulty_world import TOPICS, FaultyWorld, Messages
from .running import Node

# Short routes, so that episodes begin often; no updates, which take time.
CONFIG = """
agent: {learning_starts: 5000, replay_capacity: 20000}
driving:
  episode: {max_steps: 100000, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}
"""


@pytest.fixture(scope="module")
def started(world: FaultyWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "config.yaml").write_text(CONFIG)
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={folder}", f"config_file:={folder}/config.yaml",
        "save_replay:=true", "save_freq:=0", "answer_within_s:=2.0", "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        yield node
        assert node.stop() == 0, node.output
        assert "Traceback" not in node.output
    finally:
        node.kill()


@pytest.fixture
def driver(world: FaultyWorld, started: Node) -> Node:
    """The driver in the midst of an episode."""
    world.step_until(lambda: drives(world))
    return started


def drives(world: FaultyWorld) -> bool:
    """Steps until it is driven by the policy for two frames on end; see `step_until`."""
    return all(world.step() != FULL_BRAKE for _ in range(2))


def test_the_route_is_published_when_its_episode_begins(world: FaultyWorld, driver: Node) -> None:
    world.spin(lambda: bool(world.routes), "a route")
    route = world.routes[-1]
    assert route.header.frame_id == "map"
    points = [(pose.pose.position.x, pose.pose.position.y) for pose in route.poses]
    steps_m = [math.dist(a, b) for a, b in itertools.pairwise(points)]
    assert sum(steps_m) > 100.0
    assert max(steps_m) < 2.0
    begun = stamp_ns(route.header.stamp)
    (first,) = world.answers(begun)
    assert first.brake < 1.0
    (before,) = world.answers(begun - 50_000_000)
    assert before.brake == 1.0


def not_an_encoding(messages: Messages) -> None:
    messages["image"].encoding = "32FC1"


def too_few_bytes(messages: Messages) -> None:
    messages["image"].data = array.array("B", bytes(100))


def no_size(messages: Messages) -> None:
    messages["image"].height = messages["image"].width = messages["image"].step = 0
    messages["image"].data = array.array("B")


def position_not_a_number(messages: Messages) -> None:
    messages["odometry"].pose.pose.position.x = math.nan


def infinite_speed(messages: Messages) -> None:
    messages["odometry"].twist.twist.linear.x = math.inf


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (not_an_encoding, "image encoding '32FC1'; readable are bgra8"),
        (too_few_bytes, "image of 100 bytes does not fit 48 rows"),
        (no_size, "image of 0 bytes does not fit 0 rows"),
        (position_not_a_number, "odometry: not finite"),
        (infinite_speed, "odometry: not finite"),
    ],
)
def test_bad_frames_are_braked_for_and_the_episode_goes_on(
    spoil: Callable[[Messages], None], said: str, world: FaultyWorld, driver: Node
) -> None:
    lines, episodes = len(driver.lines), world.values("td3_driver: learner")["episodes"]
    for _ in range(3):
        assert world.step(spoil) == FULL_BRAKE
    assert said in world.safety()
    assert world.step() != FULL_BRAKE
    assert "driving" in world.safety()
    condition = "camera" if said.startswith("image") else "odometry"
    driver.wait_for(f"{condition}: all right again", after=lines)
    told = [line for line in driver.lines[lines:] if said in line]
    assert len(told) == 1, driver.lines[lines:]
    assert world.values("td3_driver: learner")["episodes"] == episodes


def test_no_transition_leads_over_a_frame_that_was_not_seen(
    world: FaultyWorld, driver: Node
) -> None:
    _, before = remembered(world)
    for spoil in (None, not_an_encoding, None, None):
        world.step(spoil) if spoil else world.step()
    replay, after = remembered(world)
    # Good, bad, good, good: one step before, none to or from the bad frame, one after.
    assert after - before == 2
    newest = replay.arrays()["flags"][replay.rows_written - 4 : replay.rows_written]
    assert newest.tolist() == [1, 0, 1, 0]


def remembered(world: FaultyWorld) -> tuple[Replay, int]:
    """The replay as the driver saves it, and its number of transitions."""
    response = world.trigger("/save_checkpoint")
    assert response.success, response.message
    path = Path(response.message.split(" step ")[0])
    link = ReplayLink.from_mapping(checkpoint.read(path)["replay"])
    replay = Replay(20_000, (4, 84, 84), 23, 2)
    restore(replay, path.parent, link)
    return replay, replay.transitions


@pytest.mark.parametrize(
    ("silent", "topic"), [("image", "rgb_front/image"), ("odometry", "ego_vehicle/odometry")]
)
def test_half_a_frame_is_braked_for(
    silent: str, topic: str, world: FaultyWorld, driver: Node
) -> None:
    """In lock-step the bridge gives up a sensor and waits for the command all the same."""
    stamps = []
    for _ in range(2):
        assert world.step(skip={silent}) == FULL_BRAKE
        stamps.append(stamp_ns(world.commands[-1].header.stamp))
    assert f"{topic} silent for 2 s; braking" in world.safety()
    assert world.step() != FULL_BRAKE
    assert "driving" in world.safety()
    assert all(len(world.answers(stamp)) == 1 for stamp in stamps)


@pytest.mark.parametrize("jump_s", [30.0, -3600.0])
def test_stamps_that_jump(jump_s: float, world: FaultyWorld, driver: Node) -> None:
    jumps = int(world.values("td3_driver: frames")["time_jumps"])
    _, before = remembered(world)
    world.step()
    world.offset_ns += int((jump_s + 3600.0) * 1e9) if jump_s > 0 else int(jump_s * 1e9)
    for _ in range(5):
        world.step()
    assert int(world.values("td3_driver: frames")["time_jumps"]) == jumps + 1
    _, after = remembered(world)
    assert after - before <= 1 + 4  # none leads over the jump


def test_another_town_means_another_episode(world: FaultyWorld, driver: Node) -> None:
    world.offset_ns += 1_000_000_000_000  # the new simulation begins at zero
    world.enter_town(7)
    driver.wait_for("driving in generated_7")
    world.step_until(lambda: stamp_ns(world.routes[-1].header.stamp) > world.offset_ns)
    for pose in world.routes[-1].poses[::20]:
        position = pose.pose.position
        assert world.road_map.places.lane_at(position.x, position.y) is not None


def test_another_publisher_of_commands_is_reported(world: FaultyWorld, driver: Node) -> None:
    world.until_established()
    other = world.node.create_publisher(CarlaEgoVehicleControl, TOPICS.control, 10)
    driver.wait_for("this domain also has driver /faulty_world: the car obeys whoever came last")
    assert "whoever came last" in world.safety()
    world.node.destroy_publisher(other)
    world.spin(lambda: "whoever came last" not in world.safety())
    assert world.step() != FULL_BRAKE


def test_a_human_s_steps_are_stored_as_his(world: FaultyWorld, driver: Node) -> None:
    world.step()
    hand = Control(throttle=0.25, steer=-0.1)
    world.take_over(hand)
    world.spin(lambda: "a human drives" in world.safety())
    for _ in range(6):
        assert control(world.step()) == pytest.approx(control(hand))
    world.take_over(None)
    world.spin(lambda: "a human drives" not in world.safety())
    world.step()
    world.step()
    replay, _ = remembered(world)
    arrays, newest = replay.arrays(), replay.rows_written
    flags = arrays["flags"][newest - 9 : newest].tolist()
    # 5 (has an action, intervention) for what he drove, and the step on which he let go.
    assert flags[-1] == 0
    his = [slot for slot in range(newest - 9, newest) if arrays["flags"][slot] == 5]
    assert len(his) in (6, 7), flags
    assert np.allclose(arrays["actions"][his], [-0.2, 0.25], atol=1e-6)  # half lock is 1


def control(of: Control) -> tuple[float, float, float]:
    return of.throttle, of.steer, of.brake


def test_parameters_that_may_change_do_and_others_say_why(
    world: FaultyWorld, driver: Node
) -> None:
    assert world.set_parameter("exploration", 0.0).successful
    greedy = {round(world.step().throttle, 3) for _ in range(5)}
    assert max(greedy) - min(greedy) < 0.05, "noise would move it more"
    assert world.set_parameter("exploration", 1.0).successful
    noisy = [world.step().throttle for _ in range(20)]
    assert max(noisy) - min(noisy) > 0.1
    refused = world.set_parameter("steps", 7)
    assert not refused.successful
    assert "fixed while the node is configured" in refused.reason
    assert not world.set_parameter("exploration", -1.0).successful


def test_diagnostics_name_everything(world: FaultyWorld, driver: Node) -> None:
    world.step()
    frames = world.values("td3_driver: frames")
    assert float(frames["latency_ms_p99"]) >= float(frames["latency_ms_p50"]) > 0.0
    assert {"frames_per_s", "deadline_misses", "missed_frames", "stale_frames"} <= set(frames)
    learner = world.values("td3_driver: learner")
    assert {"silent_s", "updates_per_s", "replay_fill", "weight_age_s"} <= set(learner)
    assert float(world.values("td3_driver: checkpoint")["age_s"]) >= 0.0
    assert ".pth" in world.diagnostics["td3_driver: checkpoint"].message
    safety = world.values("td3_driver: safety")
    assert world.diagnostics["td3_driver: safety"].message == "driving"
    assert safety["braked"] == "False"


def test_the_reward_s_terms_are_named_in_the_order_of_the_layout(
    world: FaultyWorld, driver: Node
) -> None:
    rewards: list[Float32MultiArray] = []
    listener = world.node.create_subscription(
        Float32MultiArray, "/td3_driver/reward", rewards.append, 10
    )
    world.step_until(lambda: bool(rewards))
    world.node.destroy_subscription(listener)
    names = rewards[-1].layout.dim[0].label.split(",")
    total, *terms = rewards[-1].data
    assert total == pytest.approx(sum(terms), abs=1e-5)
    text = (Path(__file__).resolve().parents[2] / "config" / "foxglove_layout.json").read_text()
    plot = json.loads(text)["configById"]["Plot!reward"]["paths"]
    assert [path["label"] for path in plot] == names


def test_who_is_on_the_road_belongs_to_the_frame_and_may_fall_silent(
    world: FaultyWorld, driver: Node
) -> None:
    """In the reward of the same step; where nobody tells any more, the drive goes on without."""
    rewards: list[Float32MultiArray] = []
    listener = world.node.create_subscription(
        Float32MultiArray, "/td3_driver/reward", rewards.append, 10
    )

    def safety() -> float:
        rewards.clear()
        world.step_until(lambda: bool(rewards))
        names = rewards[-1].layout.dim[0].label.split(",")
        return float(rewards[-1].data[names.index("safety")])

    assert safety() == 0.0
    world.users = [world.everywhere()]
    world.step_until(lambda: safety() < 0.0)
    world.step(skip=["objects"])
    driver.wait_for("objects silent: nobody is taken to be on the road")
    world.users = None
    world.step_until(lambda: safety() == 0.0)  # what is heard first may be of a step before
    assert safety() == 0.0
    assert "objects silent" in world.safety()
    world.users = []
    assert safety() == 0.0
    driver.wait_for("objects: all right again")
    world.users = None
    world.step()  # this one is waited for, too
    world.node.destroy_subscription(listener)


def test_what_the_car_did_belongs_to_the_frame_and_may_fall_silent(
    world: FaultyWorld, driver: Node
) -> None:
    """Else a command that took effect a frame late would be noticed a step too late."""

    def late(messages: Messages) -> None:
        held.append(messages["status"])

    held: list[CarlaEgoVehicleStatus] = []
    world.step()
    for _ in range(20):
        stamp = world.tick(late, skip=["status"])
        world.spin_for(0.05)
        assert not world.answers(stamp), "answered before the car told what it did"
        world.tell(status=held[-1])
        world.spin(lambda: bool(world.answers(stamp)))  # noqa: B023
    assert "vehicle_status silent" not in driver.output
    world.step(skip=["status"])
    driver.wait_for("vehicle_status silent: a command that takes effect a frame late")
    world.step(skip=["status"])  # nor is it waited for any longer
    world.step()
    driver.wait_for("vehicle_status: all right again")


def test_no_frame_was_ever_answered_twice(world: FaultyWorld, driver: Node) -> None:
    counts = Counter(stamp_ns(command.header.stamp) for command in world.commands)
    assert len(counts) > 50
    assert set(counts.values()) == {1}
