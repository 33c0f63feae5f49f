# SPDX-License-Identifier: Apache-2.0
"""The fleet's learner and a collector in one process: ratio, weights, checkpoints, resuming."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver.agent import health
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import Configuration, load_configuration
from td3_driver.fleet.collector import Collector, CollectorSpec, noise_scales
from td3_driver.fleet.learner import FleetLearner, FleetSpec
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import WorldConfig

STARTS = 60
CONFIG = """
agent:
  conv_layers: [[4, 8, 4], [8, 4, 2]]
  cnn_features: 16
  hidden_sizes: [24, 24]
  batch_size: 8
  learning_starts: 60
  replay_capacity: 4096
"""


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(CONFIG)
    return load_configuration("default", path)


@pytest.fixture(scope="module")
def collector(configuration: Configuration) -> Collector:
    return collector_of(configuration)


def collector_of(configuration: Configuration, number: int = 0, seed: int = 3) -> Collector:
    world = WorldConfig(seed=seed, cameras=(CameraConfig(width_px=84, height_px=84),))
    world = world.through(configuration.driving.view)
    return Collector(CollectorSpec(number, configuration, world, (), "easy", 1.0))


def spec_of(configuration: Configuration, folder: Path, **changes: Any) -> FleetSpec:
    spec = FleetSpec(
        configuration, folder, "mine", {"preset": "default"}, seed=0, device="cpu", threads=1,
        steps=10_000, save_freq=10_000, save_replay=False,
    )  # fmt: skip
    return replace(spec, **changes)


@pytest.fixture
def learner(configuration: Configuration, tmp_path: Path) -> Iterator[FleetLearner]:
    made = FleetLearner(spec_of(configuration, tmp_path))
    yield made
    made.finish()


def drive(learner: FleetLearner, collector: Collector, steps: int, number: int = 0) -> int:
    """Deliver so many steps in blocks of 32; returns the steps of the fleet."""
    answer = learner.newest()
    for _ in range(steps // 32):
        collector.take(answer.version, answer.weights[0], answer.env_steps)
        answer = learner.offer(number, collector.drive(32))
    return answer.env_steps


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_updates_keep_to_the_ratio(
    ratio: float, configuration: Configuration, tmp_path: Path
) -> None:
    agent = replace(configuration.agent, updates_per_step=ratio)
    learner = FleetLearner(spec_of(replace(configuration, agent=agent), tmp_path))
    drive(learner, collector_of(configuration), 320)
    status = learner.finish()
    assert status.env_steps == 320
    # From `learning_starts` on, counted in whole blocks; the last transition is incomplete.
    owed = ratio * (status.transitions - STARTS)
    assert owed <= status.updates <= owed + ratio * 32 + 1


def test_weights_come_with_the_answer_and_their_age_is_known(
    learner: FleetLearner, collector: Collector
) -> None:
    drive(learner, collector, 192)
    answer, known = learner.newest(), learner.status().collectors[0]
    assert answer.version == learner.status().updates > 0
    assert 0 <= known.age_updates <= 32
    collector.take(answer.version, answer.weights[0], answer.env_steps)
    assert collector.version == answer.version
    stale = collector.drive(32)
    drive(learner, collector, 96)
    learner.offer(0, stale)
    assert learner.status().collectors[0].age_updates >= 90


def test_who_is_faster_than_learning_waits(
    learner: FleetLearner, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(learner, collector, 128)
    going_on = threading.Event()
    train = learner._learner.answer

    def slow(request: Any) -> None:
        going_on.wait(20.0)
        train(request)

    monkeypatch.setattr(learner._learner, "answer", slow)
    delivery = collector.drive(32)
    waiting = threading.Thread(target=learner.offer, args=(0, delivery))
    waiting.start()
    while not learner.status().collectors[0].waits:
        time.sleep(0.01)
    waiting.join(0.3)
    assert waiting.is_alive()
    going_on.set()
    waiting.join(20.0)
    assert not waiting.is_alive()
    assert not learner.status().collectors[0].waits


def test_it_goes_on_from_its_checkpoint_with_its_replay(
    configuration: Configuration, collector: Collector, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    first = FleetLearner(spec_of(configuration, folder, save_replay=True))
    drive(first, collector, 192)
    before = first.finish()
    path = folder / "td3_192.pth"
    assert checkpoint.read(path)["env_steps"] == 192
    again = FleetLearner(spec_of(configuration, folder, resume=path))
    status = again.status()
    assert (status.env_steps, status.updates) == (192, before.updates)
    assert status.transitions == before.transitions
    drive(again, collector, 64)
    assert again.finish().updates >= before.updates + 63


def test_a_checkpoint_that_does_not_fit_is_refused_in_a_line(
    configuration: Configuration, collector: Collector, tmp_path: Path
) -> None:
    learner = FleetLearner(spec_of(configuration, tmp_path))
    learner.finish()
    agent = replace(configuration.agent, cnn_features=17)
    with pytest.raises(ValueError, match="cnn_features") as refused:
        FleetLearner(
            spec_of(replace(configuration, agent=agent), tmp_path, resume=tmp_path / "td3_0.pth")
        )
    assert "\n" not in str(refused.value)


def test_a_failure_is_told_to_whoever_delivers(
    learner: FleetLearner, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(learner, collector, 96)

    def fails(request: Any) -> None:
        raise OSError("the disk burns")

    monkeypatch.setattr(learner._learner, "answer", fails)
    with pytest.raises(RuntimeError, match="OSError: the disk burns"):
        learner.offer(0, collector.drive(32))
    assert learner.status().failed == "OSError: the disk burns"


def test_what_leaves_its_healthy_range_is_told(
    learner: FleetLearner, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(learner, collector, 96)
    assert learner.status().unhealthy == {}
    # Of the actor, which learns in every second update only.
    monkeypatch.setattr(health, "RANGES", {"actor_loss": health.Range(1e6, 1e7, "go on")})
    assert [*learner.status().unhealthy] == ["actor_loss"]


def test_collectors_drive_differently_and_each_as_before(configuration: Configuration) -> None:
    drawn = []
    for number in (0, 0, 1):
        made = collector_of(configuration, number)
        weights = np.random.default_rng(1).normal(size=made._policy.parameter_count) * 0.05
        made.take(0, weights.astype(np.float32), 0)
        drawn.append(made.drive(40).block.columns)
    assert all(np.array_equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    assert not np.array_equal(drawn[0]["actions"], drawn[2]["actions"])


def test_noise_falls_from_twice_to_half() -> None:
    assert noise_scales(1) == [1.0]
    assert noise_scales(3) == pytest.approx([2.0, 1.0, 0.5])
    ratios = np.diff(np.log(noise_scales(6)))
    assert np.allclose(ratios, ratios[0])
