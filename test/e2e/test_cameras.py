# SPDX-License-Identifier: Apache-2.0
"""Two cameras over real topics: one frame of both pictures, and one command for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.driving.messages.decoding import stamp_ns
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.driving.view import Mount, ViewConfig
from td3_driver.online.meaning import of_experience
from td3_driver.playback.prefill import prefill
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions
from td3_driver.replay import file as replay_file

from .conftest import Finished, train
from .ear import Ear
from .faulty_world import TOPICS, FaultyWorld, Messages
from .running import Node

VIEW = """
  view:
    size_px: 48
    cameras: [rgb_front, {id: rgb_left, y_m: 0.6, yaw_deg: 75}]
"""
LEARNS = "agent: {learning_starts: 40, batch_size: 8, replay_capacity: 1000}\ndriving:" + VIEW
# No updates, which take time; whatever the car does, the episode goes on.
DRIVES = f"""
agent: {{learning_starts: 5000, replay_capacity: 20000}}
driving:
  episode: {{max_steps: 100000, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}}
{VIEW}"""


def written(folder: Path, content: str) -> Path:
    file = folder / "cameras.yaml"
    file.write_text(content)
    return file


# The command: world, driver, learner, evaluator and recorder.


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("command")
    options = (
        "--steps", "120", "--save-freq", "120", "--seed", "3", "--save-replay",
        "--config", str(written(folder, LEARNS)), "--record", str(folder / "bag"),
    )  # fmt: skip
    return train(folder / "run", *options)


def test_the_command_learns_from_both_and_evaluates(run: Finished) -> None:
    assert run.code == 0, run.output
    assert "Traceback" not in run.output
    assert re.search(r" 0 unexpected, [01] timeouts, 0 late", run.output), run.output
    assert (run.folder / "best.pth").is_file()  # the evaluator drove it, with both
    payload = checkpoint.read(run.folder / "td3_120.pth")
    assert payload["actor_cnn_state_dict"]["conv1.weight"].shape[1] == 8
    assert payload["total_it"] > 60
    driving = load_configuration("default", run.folder.parent / "cameras.yaml").driving
    assert payload["run"]["settings"]["driving"] == driving.to_mapping()
    replay = replay_file.load(
        run.folder / "td3_120.replay", *driving.spaces.row, of_experience(driving)
    )
    frames = replay.arrays()["frames"][: replay.rows_written]
    assert frames.shape[1:] == (2, 48, 48)
    differ = (frames[:, 0] != frames[:, 1]).any(axis=(1, 2))
    assert differ.all()


def test_its_recording_has_the_frames_that_it_learned_from(run: Finished, tmp_path: Path) -> None:
    driving = load_configuration("default", run.folder.parent / "cameras.yaml").driving
    sizes = (*driving.spaces.row, of_experience(driving))
    out = tmp_path / "out.replay"
    with Progress() as progress:
        prefill([run.folder.parent / "bag"], out, driving, ReadOptions(), progress)
    stored, found = (
        replay_file.load(file, *sizes) for file in (run.folder / "td3_120.replay", out)
    )
    frames = [replay.arrays()["frames"][: replay.rows_written] for replay in (stored, found)]
    learned, recorded = ({frame.tobytes() for frame in each} for each in frames)
    # On a busy machine the recorder may be there some frames later.
    assert len(learned & recorded) > 100


# The nodes, by themselves.


def objects_file(folder: Path) -> Path:
    """A car with a camera ahead, and before it in the file one to the left and one unused."""
    sensors = [
        {"type": "sensor.pseudo.odom", "id": "odometry"},
        *(
            {
                "type": "sensor.camera.rgb", "id": name, "image_size_x": 64, "image_size_y": 48,
                "fov": 90.0, "spawn_point": {"x": 1.6, "y": y, "z": 1.5, "yaw": yaw},
            }
            for name, y, yaw in (("rgb_left", 0.6, 75), ("rgb_back", 0, 180), ("rgb_front", 0, 0))
        ),
        {"type": "actor.pseudo.control", "id": "control"},
    ]  # fmt: skip
    car = {"type": "vehicle.tesla.model3", "id": "ego_vehicle", "sensors": sensors}
    file = folder / "objects.json"
    file.write_text(json.dumps({"objects": [car]}))
    return file


def test_each_frame_of_two_pictures_gets_one_command(tmp_path: Path) -> None:
    ear = Ear()
    world = Node(
        "bridge_twin.world_node", f"objects_definition_file:={objects_file(tmp_path)}",
        "control_patience_s:=10.0",
    )  # fmt: skip
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "steps:=80", "world_timeout_s:=30.0",
        f"config_file:={written(tmp_path, LEARNS)}",
    )  # fmt: skip
    try:
        ear.listen_until_it_ends(driver)
        assert driver.wait() == 0, driver.output
        assert world.stop() == 0
    finally:
        driver.kill()
        world.kill()
        ear.close()
    assert "the run is complete" in driver.output
    assert "not simulated" not in world.output
    assert re.search(r" 0 unexpected, [01] timeouts, 0 late", world.output), world.output
    driving = [tick for tick, command in sorted(ear.commands.items()) if command.throttle]
    first, last = driving[0], max(tick for tick in ear.commands if tick < 1_000_000_000)
    assert last - first > 60
    assert all(ear.counts[tick] == 1 for tick in range(first, last + 1)), ear.counts


def test_in_real_time_frames_of_two_pictures_are_driven(tmp_path: Path) -> None:
    world = Node(
        "bridge_twin.world_node", f"objects_definition_file:={objects_file(tmp_path)}",
        "synchronous_mode:=false",
    )  # fmt: skip
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "steps:=40", "stepping:=realtime",
        f"config_file:={written(tmp_path, LEARNS)}", "world_timeout_s:=30.0",
    )  # fmt: skip
    try:
        assert driver.wait() == 0, driver.output
        assert "the run is complete" in driver.output
        assert world.stop() == 0
    finally:
        driver.kill()
        world.kill()
    payload = checkpoint.read(tmp_path / "td3_40.pth")
    assert payload["env_steps"] == 40


def test_a_driver_whose_first_camera_is_another_says_so(tmp_path: Path) -> None:
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path / 'run'}", "camera:=front",
        f"config_file:={written(tmp_path, LEARNS)}",
    )  # fmt: skip
    assert driver.wait() == 1
    said = "parameter camera: front; the first of driving.view.cameras is rgb_front: give both"
    assert said in driver.output
    assert "Traceback" not in driver.output


# A world that spoils pictures.


@pytest.fixture(scope="module")
def world() -> Iterator[FaultyWorld]:
    left = Mount("rgb_left", y_m=0.6, yaw_deg=75.0)
    world = FaultyWorld(view=ViewConfig(cameras=(Mount("rgb_front"), left)))
    yield world
    world.close()


@pytest.fixture(scope="module")
def driver(world: FaultyWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("faults")
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={folder / 'run'}", "save_freq:=0",
        f"config_file:={written(folder, DRIVES)}", "answer_within_s:=2.0",
        "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(2)))
        yield node
        assert node.stop() == 0, node.output
        assert "Traceback" not in node.output
    finally:
        node.kill()


@pytest.mark.parametrize("late", ["rgb_left", "image"])
def test_a_frame_waits_for_its_last_picture(late: str, world: FaultyWorld, driver: Node) -> None:
    held: Messages = {}

    def hold(messages: Messages) -> None:
        held[late] = messages[late]

    stamp = world.tick(hold, skip={late})
    world.spin_for(0.5)
    assert not world.answers(stamp)
    world.tell(**held)
    world.spin(lambda: bool(world.answers(stamp)), "an answer")
    assert world.step() != FULL_BRAKE
    (command,) = world.answers(stamp)
    assert command.brake < 1.0


@pytest.mark.parametrize("silent", ["rgb_left", "image"])
def test_a_frame_that_lacks_a_picture_is_braked_for(
    silent: str, world: FaultyWorld, driver: Node
) -> None:
    # So that the gaps by which the cameras' rate is known are even, and nobody waits for the next
    # picture of cameras whose rate is not (`Cadence.patience_s`).
    for _ in range(6):
        world.step()
    world.spin_for(0.3)
    stamps = []
    for _ in range(2):
        assert world.step(skip={silent}) == FULL_BRAKE
        stamps.append(stamp_ns(world.commands[-1].header.stamp))
    name = "rgb_front" if silent == "image" else silent
    assert f"{name}/image silent for 2 s; braking" in world.safety()
    assert world.step() != FULL_BRAKE
    assert all(len(world.answers(stamp)) == 1 for stamp in stamps)


def test_a_bad_picture_is_braked_for_and_its_camera_named(
    world: FaultyWorld, driver: Node
) -> None:
    def spoil(messages: Messages) -> None:
        messages["rgb_left"].encoding = "32FC1"

    assert world.step(spoil) == FULL_BRAKE
    assert f"{TOPICS.of('rgb_left/image')}: image encoding '32FC1'" in world.safety()
    assert world.step() != FULL_BRAKE
