# SPDX-License-Identifier: Apache-2.0
"""Recorded drives as demonstrations, and learning from them."""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rosbags.rosbag2 import StoragePlugin

from td3_driver.agent import TD3Agent
from td3_driver.agent.demonstrations import Demonstrations
from td3_driver.bags.reading import BagError
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.checkpoints.provenance import package_version
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.view import ViewConfig
from td3_driver.evaluation.policies import Pursuit
from td3_driver.online.meaning import of_experience
from td3_driver.playback.prefill import Prefilled, prefill
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions
from td3_driver.replay import file as replay_file
from td3_driver.replay import log as replay_log
from td3_driver.replay.buffer import Replay
from td3_driver.replay.meaning import MeaningError

from ..driving_settings import CIRCUMSTANCES, LEAVES, with_other
from .conftest import Drive
from .making import TYPES, drive_into, rewrite, without
from .test_replay import command

ROW = DrivingConfig().spaces.row
COLUMNS = ("frames", "vectors", "actions", "rewards", "flags", "ages")
STEP_NS = 50_000_000


def prefilled(bags: list[Path], out: Path, config: DrivingConfig) -> tuple[Prefilled, Replay]:
    with Progress() as progress:
        done = prefill(bags, out, config, ReadOptions(), progress)
    return done, replay_file.load(out, *config.spaces.row)


def column(replay: Replay, name: str) -> np.ndarray:
    return replay.arrays()[name][: replay.rows_written]


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive of pure pursuit: one long episode on the lane."""
    bag = tmp_path_factory.mktemp("steady") / "bag"
    config = DrivingConfig()
    drive_into(bag, 260, Pursuit(config), config=config)
    return bag


@pytest.mark.parametrize("storage", StoragePlugin)
def test_transitions_are_those_that_driving_stored(
    storage: StoragePlugin, drive: Drive, tmp_path: Path
) -> None:
    """Every byte: frames, vectors, executed actions, rewards, ends."""
    bag = rewrite(drive.bag, tmp_path / "bag", storage=storage)
    done, found = prefilled([bag], tmp_path / "out.replay", drive.trained.driving)
    assert done.transitions == drive.replay.transitions > 200
    assert found.rows_written == drive.replay.rows_written
    for name in COLUMNS:
        assert np.array_equal(column(found, name), column(drive.replay, name)), name
    assert done.counts["off_road"] >= 2
    assert done.notes == []


def test_frames_in_colour_are_those_that_driving_stored(tmp_path: Path) -> None:
    config = DrivingConfig(view=ViewConfig(size_px=48, colour="rgb"))
    stored = Replay(400, *config.spaces.row)
    drive_into(tmp_path / "bag", 120, Pursuit(config), config=config, recorder=stored)
    _, found = prefilled([tmp_path / "bag"], tmp_path / "out.replay", config)
    assert found.rows_written == stored.rows_written > 60
    assert found.arrays()["frames"].shape[1:] == (3, 48, 48)
    for name in COLUMNS:
        assert np.array_equal(column(found, name), column(stored, name)), name


def test_bags_are_put_together(drive: Drive, steady: Path, tmp_path: Path) -> None:
    config = drive.trained.driving
    one, _ = prefilled([drive.bag], tmp_path / "one.replay", config)
    other, _ = prefilled([steady], tmp_path / "other.replay", config)
    both, found = prefilled([drive.bag, steady], tmp_path / "both.replay", config)
    assert both.transitions == one.transitions + other.transitions == found.transitions
    assert both.counts["episodes"] == one.counts["episodes"] + other.counts["episodes"]


def test_the_same_bag_gives_the_same_bytes(steady: Path, tmp_path: Path) -> None:
    files = tmp_path / "one.replay", tmp_path / "two.replay"
    for file in files:
        prefilled([steady], file, DrivingConfig())
    assert files[0].read_bytes() == files[1].read_bytes()


def missing(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """No second between frames 150 and 170, and no recorded route."""
    if not (150 < time_ns // STEP_NS <= 170 or topic.endswith("/route")):
        yield topic, time_ns, kind, message


def teleported(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """From frame 150 on the car is elsewhere on the road; the map fits there too: 40 m on."""
    if topic.endswith("/odometry") and time_ns // STEP_NS > 150:
        message.pose.pose.position.x += 40.0
    if not topic.endswith(("/route", "/world_info")):
        yield topic, time_ns, kind, message


def collided(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """A collision in frame 150."""
    if topic.endswith("/odometry") and time_ns // STEP_NS == 150:
        other = "carla_msgs/msg/CarlaCollisionEvent"
        vector = TYPES.types["geometry_msgs/msg/Vector3"](x=1.0, y=0.0, z=0.0)
        event = TYPES.types[other](header=message.header, other_actor_id=0, normal_impulse=vector)
        yield "/carla/ego_vehicle/collision", time_ns, other, event
    if not topic.endswith("/route"):
        yield topic, time_ns, kind, message


@pytest.mark.parametrize(
    ("change", "reason"),
    [(missing, "gap"), (teleported, "teleport"), (collided, "collision")],
)
def test_interruptions_cut_an_episode(
    change: Any, reason: str, steady: Path, tmp_path: Path
) -> None:
    bag = rewrite(steady, tmp_path / "bag", change)
    done, found = prefilled([bag], tmp_path / "out.replay", DrivingConfig())
    assert done.counts[reason] == 1
    assert done.counts["episodes"] == 2
    ages, flags = column(found, "ages"), column(found, "flags")
    (second,) = np.flatnonzero(ages[1:] == 0) + 1
    assert flags[second - 1] == 0  # the last observation before it leads nowhere
    # Only a collision is an end without a value beyond.
    assert (flags[second - 2] & 2 != 0) == (reason == "collision")
    rewards = column(found, "rewards")
    failure = DrivingConfig().episode.reward.failure_cost
    assert (rewards[second - 2] < -0.5 * failure) == (reason == "collision")
    jumps = np.abs(np.diff(column(found, "vectors")[:, 0]))
    assert np.delete(jumps, second - 1).max() < 0.1  # speed never jumps within an episode


def test_what_a_bag_lacks_is_said(
    steady: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = rewrite(
        steady, tmp_path / "lacking", without("/route", "/world_info", "/vehicle_control_cmd")
    )
    out = tmp_path / "out.replay"
    assert command("prefill", lacking, "--out", out) == 0
    notes = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in notes] == [
        "no command topic: what was driven is taken from vehicle_status",
        "no carla_msgs/CarlaWorldInfo: the drive itself serves as the middle of the road",
    ]
    blind = without("/vehicle_control_cmd", "/vehicle_status")
    assert command("prefill", rewrite(steady, tmp_path / "blind", blind), "--out", out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "what was driven is not known; it demonstrates nothing" in line
    assert command("prefill", steady, "--out", out, "--preset", "none") == 2
    strict = replace(DrivingConfig().episode, off_road_m=-1.0)
    with pytest.raises(BagError, match="no transition"):
        prefilled([steady], out, replace(DrivingConfig(), episode=strict))


# Learning from them.


@pytest.fixture(scope="module")
def demonstrations(steady: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demonstrations") / "steady.replay"
    prefilled([steady], out, DrivingConfig())
    return out


def small(seed: int = 0) -> TD3Agent:
    config = {
        "conv_layers": [[4, 8, 4], [4, 4, 2]], "cnn_features": 8, "hidden_sizes": [16],
        "batch_size": 32, "n_step": 3,
    }  # fmt: skip
    return TD3Agent(8 + ROW[1], config=config, seed=seed)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
def test_a_batch_has_its_share_of_demonstrations(
    share: float, drive: Drive, demonstrations: Path
) -> None:
    """Both sides' rewards are changed, so that a row tells where it is from."""
    shown = replay_file.load(demonstrations, *ROW)
    shown.arrays()["rewards"][:] = 1000.0
    mixed = Demonstrations(shown, share, torch.device("cpu"))
    count = mixed.count(32)
    assert count == min(max(round(32 * share), 1), 31)
    rng = np.random.default_rng(0)
    own = drive.replay.sample(32 - count, rng, 3, 0.99)
    batch = mixed.added_to(own, count, rng, 3, 0.99)
    assert len(batch.vectors) == len(batch.images) == len(batch.bootstrap) == 32
    assert np.sum(batch.returns > 500.0) == count
    assert np.array_equal(batch.images[: 32 - count], own.images)
    with pytest.raises(ValueError, match=r"share of demonstrations: 1\.0 is not in \(0, 1\)"):
        Demonstrations(shown, 1.0, torch.device("cpu"))


def test_learning_with_demonstrations_goes_on_bit_for_bit(
    drive: Drive, demonstrations: Path, tmp_path: Path
) -> None:
    def learn(agent: TD3Agent, updates: int) -> None:
        mixed = Demonstrations(replay_file.load(demonstrations, *ROW), 0.5, torch.device("cpu"))
        for _ in range(updates):
            agent.train(drive.replay, demonstrations=mixed)

    straight, alone = small(), small()
    learn(straight, 8)
    first, second = small(), small(seed=7)
    learn(first, 4)
    first.save_checkpoint(tmp_path / "td3_4.pth")
    second.load_checkpoint(tmp_path / "td3_4.pth")
    learn(second, 4)
    for _ in range(8):
        alone.train(drive.replay)
    for name, weight in straight.actor.state_dict().items():
        assert torch.equal(weight, second.actor.state_dict()[name])
    assert not all(
        torch.equal(weight, alone.actor.state_dict()[name])
        for name, weight in straight.actor.state_dict().items()
    )


def test_the_critic_learns_from_demonstrations_alone(demonstrations: Path, drive: Drive) -> None:
    """Own rewards are zero: whatever value there is comes from the demonstrated ones."""
    poor = Replay(2000, *ROW)
    for name, array in poor.arrays().items():
        array[:] = drive.replay.arrays()[name]
    poor.arrays()["rewards"][:] = 0.0
    mixed = Demonstrations(replay_file.load(demonstrations, *ROW), 0.5, torch.device("cpu"))
    with_them, without_them = small(), small()
    for _ in range(80):
        measures = with_them.train(poor, demonstrations=mixed)
        others = without_them.train(poor)
    assert measures["q1_mean"] > others["q1_mean"] + 0.15


@pytest.mark.parametrize("name", LEAVES)
def test_demonstrations_that_mean_something_else_are_refused(
    name: str, demonstrations: Path
) -> None:
    """By every setting that gives their numbers a meaning, and by no other."""
    own = of_experience(with_other(name))
    if name in CIRCUMSTANCES:
        assert replay_file.load(demonstrations, *ROW, own).transitions > 200
        return
    with pytest.raises(MeaningError) as refused:
        replay_file.load(demonstrations, *ROW, own)
    said = str(refused.value)
    assert said.startswith(f"{demonstrations}: its numbers mean something else: ")
    assert f"{name} is {LEAVES[name]} (this run: {own[name]})" in said
    assert "\n" not in said


def test_a_file_that_does_not_say_what_it_means_is_refused(
    steady: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "old.replay"
    with monkeypatch.context() as patched:
        patched.setattr(replay_log, "header", silent_header)
        prefilled([steady], out, DrivingConfig())
    assert replay_file.load(out, *ROW).transitions > 200
    with pytest.raises(MeaningError, match=r"old\.replay: does not say what its numbers mean"):
        replay_file.load(out, *ROW, of_experience(DrivingConfig()))


def silent_header(columns: Any, meaning: Any) -> bytes:
    """A header with capacity and columns alone."""
    types = {name: [a.dtype.str, *map(int, a.shape[1:])] for name, a in columns.items()}
    text = json.dumps({"capacity": len(columns["flags"]), "columns": types}).encode()
    start = b"td3_driver replay 1\n" + struct.pack("<I", len(text)) + text
    return start + hashlib.sha256(start).digest()


def test_the_header_says_which_version_wrote_it(demonstrations: Path) -> None:
    start = demonstrations.read_bytes()[:8192]
    (length,) = struct.unpack("<I", start[20:24])
    described = json.loads(start[24 : 24 + length])
    assert described["package"] == package_version()
    assert described["meaning"] == of_experience(DrivingConfig())


def test_a_damaged_file_is_refused(demonstrations: Path, tmp_path: Path) -> None:
    whole = demonstrations.read_bytes()
    for name, content in {
        "cut": whole[:-1], "empty": b"", "text": b"no replay", "changed": whole[:-500] + b"x" * 500
    }.items():  # fmt: skip
        file = tmp_path / f"{name}.replay"
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name}.replay: ") as refused:
            replay_file.load(file, *ROW)
        assert "\n" not in str(refused.value)
    with pytest.raises(CheckpointError, match="was saved from a buffer"):
        replay_file.load(demonstrations, ROW[0], 5, 2)
