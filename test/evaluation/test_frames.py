# SPDX-License-Identifier: Apache-2.0
"""Frames of another size and in colour: one setting, followed by all that sees and keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import Replay, TD3Agent
from td3_driver.agent.exploration import Exploration
from td3_driver.bags.reading import BagError
from td3_driver.bags.writing import open_writer
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.configuration import (
    Configuration,
    ConfigurationError,
    configuration_from,
    load_configuration,
)
from td3_driver.driving.driver import Driver
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.evaluation.closed_loop import drive, recorded
from td3_driver.evaluation.command import Options, execute
from td3_driver.evaluation.demonstration import demonstrate
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.evaluation.policies import Pursuit
from td3_driver.interchange.onnx_export import export
from td3_driver.learner import resume
from td3_driver.learner.resume import RunSettings
from td3_driver.online.meaning import of_experience, of_policy
from td3_driver.online.trained import load as load_trained
from td3_driver.playback.open_loop import play_back
from td3_driver.playback.prefill import prefill
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions
from td3_driver.replay import file as replay_file
from td3_driver.world.gym_env import DrivingEnv
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

COLOUR = "4 rgb frames of 64x64, oldest first, each red, green, blue"
STEPS, SAVED_AT = 60, 40


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    file = tmp_path_factory.mktemp("config") / "colour.yaml"
    file.write_text(
        "agent: {replay_capacity: 400, learning_starts: 20, batch_size: 8}\n"
        "driving: {view: {size_px: 64, colour: rgb}}\n"
    )
    return load_configuration("default", file)


@pytest.fixture(scope="module")
def roads() -> RoadMap:
    return RoadMap(generate_opendrive(1), "roads")


def seen_by(cameras: Any) -> dict[str, Any]:
    return {"driving": {"view": {"cameras": cameras}}}


class Learning:
    """Drives with noise in the embedded world, and learns in the same process."""

    def __init__(self, configuration: Configuration, roads: RoadMap) -> None:
        self.config, self.driving = configuration.agent, configuration.driving
        spaces, meaning = self.driving.spaces, of_experience(self.driving)
        state_dim = self.config.cnn_features + spaces.vector_dim
        self.agent = TD3Agent(state_dim, spaces.action_dim, config=self.config, seed=1)
        self.replay = Replay(self.config.replay_capacity, *spaces.row, meaning=meaning)
        self.noise = Exploration(self.config, spaces.action_dim, 2)
        self.driver = Driver(self.driving, self, self.replay, 3)
        world = WorldConfig(seed=0).through(self.driving.view)
        self.frames = drive(self.driver, Simulation(world, roads))

    def begin_episode(self) -> None:
        self.noise.reset()

    def act(self, situation: Situation) -> Action:
        seen = situation.observation
        observation = {"image": seen.image, "vector": seen.vector}
        return self.agent.select_action(observation) + self.noise.sample(self.agent.env_steps)

    def until(self, steps: int) -> None:
        while self.agent.env_steps < steps:
            if next(self.frames).report.outcome is None:
                continue
            self.agent.env_steps += 1
            if self.agent.env_steps > self.config.learning_starts:
                self.agent.train(self.replay)

    def run(self) -> dict[str, Any]:
        """What a run leaves in its checkpoints."""
        settings = Configuration(self.config, self.driving).to_mapping()
        return {"settings": settings, "meaning": of_policy(self.driving)}


@pytest.fixture(scope="module")
def learned(
    coloured: Configuration, roads: RoadMap, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Learning]:
    """A checkpoint with its replay, and the run that it is of, some updates later."""
    torch.set_num_threads(1)
    learning = Learning(coloured, roads)
    learning.until(SAVED_AT)
    file = tmp_path_factory.mktemp("run") / f"td3_{SAVED_AT}.pth"
    rows = learning.replay.rows_written
    assert resume.save(learning.agent, file, learning.run(), learning.replay, rows)
    for _ in range(STEPS - SAVED_AT):
        learning.agent.train(learning.replay, rows=rows)
    return file, learning


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def own(configuration: Configuration) -> RunSettings:
    return RunSettings(configuration.agent, of_policy(configuration.driving))


def test_the_agent_follows_the_driver(coloured: Configuration) -> None:
    spaces = coloured.driving.spaces
    assert spaces.image_shape == (12, 64, 64)
    assert spaces.row == ((4, 3, 64, 64), 23, 2)
    assert (coloured.agent.image_channels, coloured.agent.image_size) == (12, 64)
    assert spaces.meaning()["image"] == COLOUR
    larger = configuration_from({"driving": {"view": {"size_px": 96}}}, "config mine.yaml")
    assert larger.driving.spaces.image_shape == (4, 96, 96)
    assert larger.driving.spaces.row[0] == (4, 96, 96)
    assert larger.agent.image_size == 96


def test_the_defaults_leave_files_as_they_were() -> None:
    """Not a name is added, so that files are the same bytes, and earlier versions read them."""
    told = of_experience(DrivingConfig())
    assert not {f"driving.view.{name}" for name in ("size_px", "colour", "cameras")} & {*told}
    view = Configuration().to_mapping()["driving"]["view"]
    assert [*view] == ["cut_top", "cut_bottom", "cut_sides", "fov_deg", "blind"]
    usual = configuration_from({"driving": {"view": {"cameras": ["rgb_front"]}}}, "config")
    assert of_experience(usual.driving) == told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"driving": {"view": {"size_px": 16}}}, "size_px 16 is not a size from 24 to 512"),
        ({"driving": {"view": {"size_px": 1024}}}, "size_px 1024 is not a size from 24 to 512"),
        ({"driving": {"view": {"size_px": 64.5}}}, "driving.view.size_px: 64.5 is not a int"),
        ({"driving": {"view": {"colour": "red"}}}, "view.colour: 'red' is not grey or rgb"),
        ({"driving": {"view": {"colour": True}}}, "view.colour: True is not grey or rgb"),
        (
            {"agent": {"image_size": 84}, "driving": {"view": {"size_px": 64}}},
            "image_channels 4 and image_size 84 do not fit; with driving.view: size_px 64, colour"
            " grey, cameras 1 a driver sees image_channels 4 and image_size 64: leave both out",
        ),
        (
            {"driving": {"view": {"size_px": 24}}},
            "leaves nothing of an image of image_size 24; use smaller kernels or strides, or"
            " larger images",
        ),
        ({"agent": [1]}, "agent: expected a mapping, got [1]"),
        (seen_by("rgb_front"), "view.cameras: 'rgb_front' is no list of cameras; expected [rgb_f"),
        (seen_by(["rgb_front", {"yaw_deg": 60}]), "cameras[1]: {'yaw_deg': 60} has no id of a"),
        (seen_by(["rgb_front", 3]), "view.cameras[1]: 3 has no id of a camera"),
        (seen_by([{"id": "left", "yaw_deg": "left"}]), "cameras[0].yaw_deg: 'left' is not a numb"),
        (seen_by([{"id": "left", "yaw_deg": 270}]), "yaw_deg 270 is not an angle from -180 to"),
        (seen_by([{"id": "left", "pitch_deg": -91}]), "pitch_deg -91 is not an angle from -90 to"),
        (seen_by([{"id": "left", "fov": 90}]), "view.cameras[0]: unknown key fov; known are id"),
        (seen_by(["rgb-front"]), "cameras[0]: id 'rgb-front': use letters, digits and _ only"),
        (seen_by(["a", {"id": "a", "yaw_deg": 9}]), "cameras: a is there twice; give each"),
        (seen_by(["rgb_front", "rgb_left"]), "rgb_front and rgb_left see the same; give one anot"),
        (seen_by([{"id": f"c{n}", "x_m": n} for n in range(9)]), "cameras: 9 of them; at most 8"),
    ],
)
def test_what_cannot_be_seen_is_refused_in_a_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configuration_from(given, "config mine.yaml")
    assert str(refused.value).startswith("config mine.yaml: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_it_learns_and_goes_on_bit_for_bit(
    learned: tuple[Path, Learning], coloured: Configuration
) -> None:
    file, learning = learned
    agent, spaces = TD3Agent.from_checkpoint(file), coloured.driving.spaces
    replay = Replay(400, *spaces.row, meaning=of_experience(coloured.driving))
    assert resume.load(agent, file, replay, own(coloured)).link
    rows = replay.rows_written
    frames = replay.frames
    assert frames is not None
    assert frames.shape == (400, 3, 64, 64)
    assert frames[:rows].std() > 10.0
    assert np.array_equal(frames[:rows], learning.replay.arrays()["frames"][:rows])
    for _ in range(STEPS - SAVED_AT):
        agent.train(replay)
    expected, found = (
        {**one.checkpoint_payload(), "provenance": None} for one in (learning.agent, agent)
    )
    assert found["total_it"] == STEPS - coloured.agent.learning_starts
    assert same(expected, found)


def test_batches_have_the_channels_of_the_oldest_frame_first(
    learned: tuple[Path, Learning],
) -> None:
    """As the policy saw them: what is stored once is what was stacked while driving."""
    replay = Replay(64, (4, 3, 2, 2), 1, 1)
    vector, action = np.zeros(1, np.float32), np.zeros(1, np.float32)

    def frame(step: int) -> np.ndarray:
        return np.stack([np.full((2, 2), 10 * step + plane, np.uint8) for plane in range(3)])

    replay.begin(frame(1), vector)
    for step in range(2, 7):
        replay.add(action, float(step), frame(step), vector, False, False)
    batch = replay.sample(64, np.random.default_rng(0))
    images, following = batch.images, batch.next_images
    assert isinstance(images, np.ndarray)
    assert isinstance(following, np.ndarray)
    assert images.shape == following.shape == (64, 12, 2, 2)
    for image, after in zip(images, following, strict=True):
        newest = int(image[-1, 0, 0]) // 10
        steps = [max(newest - age, 1) for age in (3, 2, 1, 0)]
        assert image[:, 0, 0].tolist() == [10 * step + p for step in steps for p in range(3)]
        assert int(after[-1, 0, 0]) // 10 == newest + 1


def test_a_checkpoint_of_other_frames_is_refused_in_a_line(
    learned: tuple[Path, Learning], coloured: Configuration, tmp_path: Path
) -> None:
    plain = load_configuration("default")
    agent = TD3Agent(plain.agent.cnn_features + 23, 2, config=plain.agent)
    with pytest.raises(CheckpointError) as refused:
        resume.load(agent, learned[0], own=own(plain))
    said = str(refused.value)
    assert f"image is {COLOUR} (this run: 4 grey frames of 84x84, oldest first)" in said
    assert "driving.view.size_px is 64 (this run: 84)" in said
    assert "driving.view.colour is rgb (this run: grey)" in said
    assert "\n" not in said
    file = tmp_path / "td3_0.pth"
    meaning = of_policy(plain.driving)
    agent.save_checkpoint(file, {"settings": plain.to_mapping(), "meaning": meaning})
    with pytest.raises(CheckpointError) as refused:
        resume.load(TD3Agent.from_checkpoint(learned[0]), file, own=own(coloured))
    said = str(refused.value)
    assert f"image is 4 grey frames of 84x84, oldest first (this run: {COLOUR})" in said
    assert "\n" not in said


def test_demonstrations_of_other_frames_are_refused_in_a_line(
    coloured: Configuration, roads: RoadMap, tmp_path: Path
) -> None:
    out, plain = tmp_path / "drives.replay", DrivingConfig()
    demonstrate(coloured, roads, WorldConfig(seed=0), 12, out, lambda: None)
    driving = coloured.driving
    shown = replay_file.load(out, *driving.spaces.row, of_experience(driving))
    assert shown.arrays()["frames"].shape[1:] == (3, 64, 64)
    with pytest.raises(CheckpointError) as refused:
        replay_file.load(out, *plain.spaces.row, of_experience(plain))
    said = str(refused.value)
    assert f"image is {COLOUR} (this run: 4 grey frames of 84x84, oldest first)" in said
    assert "\n" not in said


def test_a_checkpoint_is_evaluated_by_its_own_frames(
    learned: tuple[Path, Learning], tmp_path: Path
) -> None:
    trained = load_trained(learned[0])
    assert trained.driving.view.size_px == 64
    assert trained.driving.view.colour == "rgb"
    options = Options(
        checkpoint=learned[0], policy="", episodes=1, map_file=None, seed=0, length_m=(20.0, 30.0),
        out=tmp_path,
    )  # fmt: skip
    execute(options)
    assert json.loads((tmp_path / "metrics.json").read_text())["episodes"] == 1


def test_an_environment_shows_them(coloured: Configuration) -> None:
    env = DrivingEnv(driving=coloured.driving)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen["image"].shape == (12, 64, 64)
    assert not np.array_equal(seen["image"][0], seen["image"][2])  # red is not blue


def test_a_model_says_what_its_channels_are(
    learned: tuple[Path, Learning], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "actor.onnx"
    export(learned[0], out)
    inputs = {item.name: item.shape for item in onnxruntime.InferenceSession(out).get_inputs()}
    assert inputs["image"] == [1, 12, 64, 64]
    card = (tmp_path / "actor.onnx.md").read_text()
    assert (
        "- `image`: (1, 12, 64, 64) uint8, rgb frames, oldest first, each red, green, blue\n"
        in card
    )
    assert f"| image | {COLOUR} |" in card


def test_a_checkpoint_s_file_has_them(learned: tuple[Path, Learning]) -> None:
    payload = checkpoint.read(learned[0])
    assert payload["config"]["image_channels"] == 12
    assert payload["actor_cnn_state_dict"]["conv1.weight"].shape[1] == 12
    assert payload["run"]["settings"]["driving"]["view"]["size_px"] == 64


# Several cameras.


TWO = "4 grey frames of 48x48, oldest first, each of rgb_front, rgb_left"
CAMERAS = """\
agent: {replay_capacity: 400, learning_starts: 20, batch_size: 8}
driving:
  view:
    size_px: 48
    cameras: [rgb_front, {id: rgb_left, x_m: 1.0, y_m: 0.6, yaw_deg: 75, pitch_deg: 5}]
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    file = tmp_path_factory.mktemp("config") / "cameras.yaml"
    file.write_text(CAMERAS)
    return load_configuration("default", file)


@pytest.fixture(scope="module")
def seen_by_two(
    two: Configuration, roads: RoadMap, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Learning]:
    """A checkpoint of what has learned with two cameras, and its run."""
    torch.set_num_threads(1)
    learning = Learning(two, roads)
    learning.until(SAVED_AT)
    file = tmp_path_factory.mktemp("run") / f"td3_{SAVED_AT}.pth"
    rows = learning.replay.rows_written
    assert resume.save(learning.agent, file, learning.run(), learning.replay, rows)
    return file, learning


def test_the_channels_follow_the_cameras(two: Configuration) -> None:
    spaces = two.driving.spaces
    assert (spaces.image_shape, spaces.row[0]) == ((8, 48, 48), (4, 2, 48, 48))
    assert (two.agent.image_channels, two.agent.image_size) == (8, 48)
    assert spaces.meaning()["image"] == TWO
    left = two.driving.view.cameras[1]
    assert left.pose == (1.0, 0.6, 1.5, 5.0, 75.0)
    colour = replace(two.driving.view, colour="rgb")
    coloured = replace(two.driving, view=colour).spaces
    assert coloured.image_shape == (24, 48, 48)
    assert coloured.meaning()["image"] == TWO.replace("grey", "rgb") + ": red, green, blue"
    again = configuration_from(two.to_mapping(), "checkpoint")
    assert again == two


def test_what_the_cameras_see_is_what_each_saw_alone(
    two: Configuration, seen_by_two: tuple[Path, Learning], roads: RoadMap
) -> None:
    """In another drive of the same commands the left one's mounting is the front one's."""
    driving = two.driving
    front, left = driving.view.cameras
    worlds = [
        Simulation(WorldConfig(seed=0).through(replace(driving.view, cameras=cameras)), roads)
        for cameras in ((front, left), (front,), (left,))
    ]
    for step in range(5):
        both, ahead, aside = (world.step(Control(throttle=0.2 * step)) for world in worlds)
        assert np.array_equal(both.image, ahead.image)
        assert np.array_equal(both.beside[0](), aside.image)
        assert not np.array_equal(both.image, aside.image)
    frames = seen_by_two[1].replay.arrays()["frames"][:20]
    assert frames.shape[1:] == (2, 48, 48)
    assert not np.array_equal(frames[:, 0], frames[:, 1])


def test_with_several_cameras_it_goes_on_bit_for_bit(
    two: Configuration, seen_by_two: tuple[Path, Learning]
) -> None:
    file, learning = seen_by_two
    agent = TD3Agent.from_checkpoint(file)
    replay = Replay(400, *two.driving.spaces.row, meaning=of_experience(two.driving))
    assert resume.load(agent, file, replay, own(two)).link
    for one, experience in ((learning.agent, learning.replay), (agent, replay)):
        for _ in range(5):
            one.train(experience, rows=replay.rows_written)
    expected, found = (
        {**one.checkpoint_payload(), "provenance": None} for one in (learning.agent, agent)
    )
    assert same(expected, found)


def test_networks_of_other_cameras_are_refused_in_a_line(
    two: Configuration, seen_by_two: tuple[Path, Learning]
) -> None:
    """Also where the number of channels is the same, and only a camera stands elsewhere."""
    front, left = two.driving.view.cameras
    moved = replace(two.driving.view, cameras=(front, replace(left, yaw_deg=45.0)))
    agent = TD3Agent.from_checkpoint(seen_by_two[0])
    for view, said in (
        (moved, "'yaw_deg': 75.0}] (this run: [{'id': 'rgb_front'}, {'id': 'rgb_left', 'x_m': 1."),
        (replace(moved, cameras=()), f"image is {TWO} (this run: 4 grey frames of 48x48, oldest"),
    ):
        other = replace(two, driving=replace(two.driving, view=view))
        with pytest.raises(CheckpointError) as refused:
            resume.load(agent, seen_by_two[0], own=own(other))
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_they_are_evaluated_recorded_and_learned_from(
    two: Configuration, seen_by_two: tuple[Path, Learning], tmp_path: Path
) -> None:
    options = Options(
        checkpoint=seen_by_two[0], policy="", episodes=1, map_file=None, seed=0,
        length_m=(20.0, 30.0), out=tmp_path / "report", record=tmp_path / "bags",
    )  # fmt: skip
    execute(options)
    (bag,) = (tmp_path / "bags").iterdir()
    out = tmp_path / "drive.replay"
    with Progress() as progress:
        done = prefill([bag], out, two.driving, ReadOptions(), progress)
    assert done.transitions > 10
    shown = replay_file.load(out, *two.driving.spaces.row, of_experience(two.driving))
    frames = shown.arrays()["frames"][: shown.rows_written]
    assert frames.shape[1:] == (2, 48, 48)
    assert not np.array_equal(frames[:, 0], frames[:, 1])
    with Progress() as progress:
        trained = load_trained(seen_by_two[0])
        found = play_back(bag, trained.policy, trained.driving, ReadOptions(), progress)
    proposed = np.stack([found.rows["steer"], found.rows["drive"]], axis=1)
    driven = np.stack([found.rows["driven_steer"], found.rows["driven_drive"]], axis=1)
    assert np.abs(proposed - driven)[:-1].max() < 1e-5


def test_a_bag_that_lacks_a_camera_is_refused_in_a_line(
    two: Configuration, roads: RoadMap, tmp_path: Path
) -> None:
    config = DrivingConfig()
    driver = Driver(config, Pursuit(config), None, 5)
    world = Simulation(WorldConfig(), roads)
    with DriveRecorder(open_writer(tmp_path / "bag"), roads, world.config) as bag:
        list(islice(recorded(drive(driver, world), driver, bag), 60))
    with Progress() as progress, pytest.raises(BagError) as refused:
        prefill([tmp_path / "bag"], tmp_path / "no.replay", two.driving, ReadOptions(), progress)
    said = "no pictures of rgb_left, which driving.view.cameras has; expected them beside"
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_demonstrations_and_the_environment_have_them(
    two: Configuration, roads: RoadMap, tmp_path: Path
) -> None:
    world = WorldConfig(seed=0).through(two.driving.view)
    demonstrate(two, roads, world, 12, tmp_path / "shown.replay", lambda: None)
    env = DrivingEnv(driving=two.driving)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen["image"].shape == (8, 48, 48)
    assert not np.array_equal(seen["image"][0], seen["image"][1])
    plain = DrivingEnv(driving=two.driving, world=WorldConfig())
    with pytest.raises(ValueError, match="a moment: 1, but"):
        plain.reset(seed=0)


def test_a_model_says_whose_its_channels_are(
    seen_by_two: tuple[Path, Learning], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    export(seen_by_two[0], tmp_path / "actor.onnx")
    card = (tmp_path / "actor.onnx.md").read_text()
    told = "(1, 8, 48, 48) uint8, grey frames, oldest first, each of rgb_front, rgb_left\n"
    assert f"- `image`: {told}" in card
