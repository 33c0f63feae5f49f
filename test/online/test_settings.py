# SPDX-License-Identifier: Apache-2.0
"""A run that loads a checkpoint takes its state, and keeps its own settings: every one of them."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import CheckpointError, Replay, TD3Agent, algorithm
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.policy import ActorPolicy
from td3_driver.agent.snapshot import components
from td3_driver.checkpoints import checkpoint
from td3_driver.driving.roles import DrivingConfig
from td3_driver.learner import resume
from td3_driver.learner.messages import Load, Loaded, Refused, Stop, Train
from td3_driver.learner.process import Learner, LearnerSpec
from td3_driver.learner.reach import Reach
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.weights import SharedWeights
from td3_driver.online.meaning import of_experience, of_policy
from td3_driver.online.trained import load as load_trained
from td3_driver.replay import log as replay_log

from ..driving_settings import CIRCUMSTANCES, EPISODE, LEAVES, with_other

IMAGE, VECTOR, ACTION = (4, 36, 36), 5, 2
# All parts of learning are on, so that each setting matters.
OWN = AgentConfig.from_mapping(
    {
        "conv_layers": [[4, 8, 4], [8, 4, 2]], "cnn_features": 16, "hidden_sizes": [24, 24],
        "image_size": 36, "batch_size": 8, "n_step": 3, "gradient_clip": 0.5,
        "pre_tanh_penalty": 0.01, "smoothness_penalty": 0.5, "random_shift": 2,
        "exploration": "ou", "learning_starts": 100, "warmup_sigma_factor": 1.5,
        "exploration_decay_steps": 200,
    }
)  # fmt: skip
SHAPES: dict[str, Any] = {
    "algorithm": "sac",
    "conv_layers": [[4, 8, 4], [8, 3, 2]],
    "cnn_features": 17,
    "trunk": "layernorm_tanh",
    "hidden_sizes": [24, 25],
    "critic_layernorm": True,
    "vector_scale": [1.0, 2.0, 1.0, 1.0, 1.0],
    "image_channels": 3,
    "image_size": 44,
    "privileged": 3,
    "critic_atoms": 11,
    "critic_range": [-5.0, 5.0],
}
LEARNING: dict[str, Any] = {
    "orthogonal_init": True,
    "actor_output_scale": 0.5,
    "action_bias": [0.0, 0.5],
    "learning_rate": 1e-3,
    "precision": "bf16",
    "discount": 0.5,
    "tau": 0.5,
    "policy_noise": 0.4,
    "noise_clip": 0.1,
    "policy_freq": 3,
    "batch_size": 12,
    "n_step": 1,
    "gradient_clip": 0.01,
    "pre_tanh_penalty": 0.5,
    "smoothness_penalty": 5.0,
    "imitation_weight": 2.0,
    "advised": True,
    "random_shift": 1,
    "replay_capacity": 512,
    "learning_starts": 10,
    "updates_per_step": 2.0,
    "exploration": "gaussian",
    "exploration_sigma": 0.3,
    "exploration_sigma_final": 0.7,
    "exploration_decay_steps": 50,
    "ou_theta": 0.5,
    "warmup_sigma_factor": 3.0,
}


def experience(meaning: dict[str, object] | None = None) -> Replay:
    rng = np.random.default_rng(0)
    replay = Replay(256, IMAGE, VECTOR, ACTION, meaning=meaning)

    def seen() -> tuple[np.ndarray, np.ndarray]:
        frame = rng.integers(0, 256, IMAGE[1:], dtype=np.uint8)
        return frame, rng.normal(size=VECTOR).astype(np.float32)

    replay.begin(*seen())
    for step in range(150):
        ended = step % 12 == 11
        action, reward = rng.uniform(-1, 1, ACTION), float(rng.normal())
        replay.add(action, reward, *seen(), ended, False, step % 3 == 0)
        if ended:
            replay.begin(*seen())
    return replay


def learned(config: AgentConfig) -> ActorCritic:
    side = config.image_size
    if (config.image_channels, side) != (4, 36) or config.privileged:
        return algorithm.create(config, config.cnn_features + VECTOR, ACTION)
    agent = algorithm.create(config, config.cnn_features + VECTOR, ACTION)
    replay = experience()
    for _ in range(4):
        agent.train(replay)
    agent.env_steps, agent.episodes = 40, 3
    return agent


def with_state_of(source: ActorCritic, config: AgentConfig) -> TD3Agent:
    """An agent of these settings in that one's state, put together by hand."""
    agent = TD3Agent(config.cnn_features + VECTOR, ACTION, config=config, seed=5)
    parts = dict(components(source))
    for key, part in components(agent):
        part.load_state_dict(parts[key].state_dict())
        if isinstance(part, torch.optim.Optimizer):
            part.param_groups[0]["lr"] = config.learning_rate
    agent.total_it, agent.env_steps = source.total_it, source.env_steps
    agent.episodes = source.episodes
    agent.sampler.bit_generator.state = source.sampler.bit_generator.state
    agent.noise_generator.set_state(source.noise_generator.get_state())
    agent.exploration.restore(source.exploration.state())
    return agent


def goes_on(agent: ActorCritic) -> dict[str, Any]:
    """Where it gets with six updates and some actions."""
    replay = experience()
    rng = np.random.default_rng(1)
    for _ in range(6):
        agent.train(replay)
        image = rng.integers(0, 256, IMAGE, dtype=np.uint8)
        agent.select_action({"image": image, "vector": np.zeros(VECTOR, np.float32)}, explore=True)
        agent.env_steps += 20
    return {**agent.checkpoint_payload(), "provenance": None}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def test_every_setting_of_the_agent_is_known_here() -> None:
    assert SHAPES.keys() | LEARNING.keys() == {item.name for item in fields(AgentConfig)}
    assert not SHAPES.keys() & LEARNING.keys()


@pytest.mark.parametrize("name", LEARNING)
def test_a_learning_setting_is_the_runs(name: str, tmp_path: Path) -> None:
    """After the load the run goes on, bit for bit, as its own settings say."""
    source = learned(replace(OWN, **{name: LEARNING[name]}))
    path = tmp_path / "td3_40.pth"
    source.save_checkpoint(path)
    agent = TD3Agent(21, ACTION, config=OWN, seed=7)
    resumed = resume.load(agent, path, own=RunSettings(OWN))
    saved, own = (
        config.to_mapping().get(name, getattr(AgentConfig, name))
        for config in (source.config, OWN)
    )
    assert resumed.changed == (f"agent.{name} {own} (saved: {saved})",)
    assert agent.config == OWN
    assert same(goes_on(agent), goes_on(with_state_of(source, OWN)))
    # Where there is no run, it is the file's.
    assert TD3Agent.from_checkpoint(path).config == source.config


@pytest.mark.parametrize("name", SHAPES)
def test_networks_of_another_shape_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "td3_40.pth"
    other = learned(replace(OWN, **{name: SHAPES[name]}))
    other.save_checkpoint(path, {"settings": {"preset": "drq", "config": "mine.yaml"}})
    agent = TD3Agent(21, ACTION, config=OWN)
    before = agent.checkpoint_payload()
    with pytest.raises(CheckpointError) as refused:
        resume.load(agent, path, own=RunSettings(OWN))
    said = str(refused.value)
    assert f"config {name} is " in said
    assert said.endswith("it was saved with preset drq and config mine.yaml: give the same")
    assert "\n" not in said
    after = agent.checkpoint_payload()
    assert same({**before, "provenance": None}, {**after, "provenance": None})


def run_of(config: DrivingConfig, *, told: bool) -> dict[str, Any]:
    """What a run leaves in its checkpoints."""
    settings = {"preset": "default", "driving": config.to_mapping()}
    return {"settings": settings, **({"meaning": of_policy(config)} if told else {})}


def settings_of(config: DrivingConfig) -> RunSettings:
    rest = {"preset": "default", "driving": config.to_mapping()}
    return RunSettings(OWN, of_policy(config), rest)


@pytest.mark.parametrize("told", [True, False], ids=["meaning told", "from its settings"])
@pytest.mark.parametrize("name", LEAVES)
def test_a_driving_setting_is_the_runs_or_must_agree(
    name: str, told: bool, tmp_path: Path
) -> None:
    """What the networks see and do must agree; all else is the run's, and told."""
    path = tmp_path / "td3_40.pth"
    saved = with_other(name)
    learned(OWN).save_checkpoint(path, run_of(saved, told=told))
    agent = TD3Agent(21, ACTION, config=OWN)
    values = f"{LEAVES[name]} (saved: {of_leaves(saved)[name]})"
    if name.startswith(EPISODE):
        resumed = resume.load(agent, path, own=settings_of(DrivingConfig()))
        assert resumed.changed == (f"{name} {values}",)
        return
    with pytest.raises(CheckpointError) as refused:
        resume.load(agent, path, own=settings_of(DrivingConfig()))
    assert f"{name} is {of_leaves(saved)[name]} (this run: {LEAVES[name]})" in str(refused.value)
    assert "\n" not in str(refused.value)


def of_leaves(config: DrivingConfig) -> dict[str, Any]:
    return RunSettings(OWN, {}, {"driving": config.to_mapping()}).to_mapping()


@pytest.mark.parametrize("told", [True, False], ids=["header", "from its checkpoint"])
@pytest.mark.parametrize("name", LEAVES)
def test_a_replay_beside_a_checkpoint_must_mean_the_same(
    name: str, told: bool, tmp_path: Path
) -> None:
    """Older replays do not say it; then the settings in the checkpoint do."""
    path, saved, own = tmp_path / "td3_40.pth", with_other(name), DrivingConfig()
    meaning = of_experience(saved) if told else None
    stored, source = experience(meaning), learned(OWN)
    run = run_of(own if told else saved, told=False)
    resume.save(source, path, run, stored, stored.rows_written)
    agent = TD3Agent(21, ACTION, config=OWN)
    buffer = Replay(256, IMAGE, VECTOR, ACTION, meaning=of_experience(own))
    before = {name: array.copy() for name, array in buffer.arrays().items()}
    # The networks' own rule is the test before.
    settings = replace(settings_of(own), meaning={})
    if name in CIRCUMSTANCES:
        resumed = resume.load(agent, path, buffer, settings)
        assert resumed.link is not None
        assert len(buffer) == len(stored)
        return
    with pytest.raises(CheckpointError) as refused:
        resume.load(agent, path, buffer, settings)
    said = str(refused.value)
    assert f"{name} is {of_leaves(saved)[name]} (this run: {LEAVES[name]})" in said
    assert said.endswith(
        "give the settings that it was saved with, or move td3_40.replay away to go on without it"
    )
    assert all(np.array_equal(before[key], array) for key, array in buffer.arrays().items())
    assert agent.total_it == 0


def test_a_replay_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    path, stored = tmp_path / "td3_40.pth", experience(None)
    resume.save(learned(OWN), path, {}, stored, stored.rows_written)
    assert replay_log.meaning(tmp_path / "td3_40.replay") is None
    buffer = Replay(256, IMAGE, VECTOR, ACTION, meaning=of_experience(DrivingConfig()))
    with pytest.raises(CheckpointError, match=r"td3_40\.replay: does not say what its numbers"):
        resume.load(TD3Agent(21, ACTION, config=OWN), path, buffer, RunSettings(OWN))
    unnamed = Replay(256, IMAGE, VECTOR, ACTION)
    assert resume.load(TD3Agent(21, ACTION, config=OWN), path, unnamed, RunSettings(OWN)).link


@pytest.mark.parametrize("run", [["a"], {"settings": 3, "meaning": "what"}, {"settings": None}])
def test_a_run_that_is_none_tells_nothing(run: Any, tmp_path: Path) -> None:
    """Anybody can write a file; it must not end the learner."""
    payload = {**learned(OWN).checkpoint_payload(), "run": run}
    checkpoint.write(tmp_path / "td3_40.pth", payload)
    agent = TD3Agent(21, ACTION, config=OWN)
    resumed = resume.load(agent, tmp_path / "td3_40.pth", own=settings_of(DrivingConfig()))
    assert resumed.changed == ()
    assert agent.env_steps == 40


def test_a_converted_file_has_the_agents_settings_alone(tmp_path: Path) -> None:
    path = tmp_path / "td3_40.pth"
    learned(replace(OWN, discount=0.9)).save_checkpoint(path)
    agent = TD3Agent(21, ACTION, config=OWN)
    resumed = resume.load(agent, path, own=settings_of(DrivingConfig()))
    assert resumed.changed == ("agent.discount 0.99 (saved: 0.9)",)


def test_a_setting_that_one_side_lacks_is_told(tmp_path: Path) -> None:
    """As demonstrations that a resumed run is not given again."""
    path = tmp_path / "td3_40.pth"
    run = run_of(DrivingConfig(), told=True)
    run["settings"]["prefill"] = {"file": "drives.replay", "share": 0.5}
    learned(OWN).save_checkpoint(path, run)
    resumed = resume.load(TD3Agent(21, ACTION, config=OWN), path, own=settings_of(DrivingConfig()))
    assert resumed.changed == (
        "prefill.file none (saved: drives.replay)", "prefill.share none (saved: 0.5)",
    )  # fmt: skip


def ask(stream: io.BytesIO, *requests: object) -> None:
    """Put requests where the learner reads next."""
    place = stream.tell()
    for request in requests:
        pickle.dump(request, stream)
    stream.seek(place)


@pytest.mark.parametrize("at_start", [True, False], ids=["--resume", "/load_checkpoint"])
def test_the_learner_keeps_its_settings_whoever_asks(at_start: bool, tmp_path: Path) -> None:
    """One rule for both: `replay` is all in which the requests differ."""
    path = tmp_path / "td3_40.pth"
    other = replace(OWN, discount=0.5, batch_size=12, n_step=1, exploration="gaussian")
    learned(other).save_checkpoint(path, run_of(DrivingConfig(), told=True))
    policy = ActorPolicy(21, ACTION, 1.0, True, OWN)
    spec = LearnerSpec(
        settings=settings_of(DrivingConfig()), state_dim=21, action_dim=ACTION, device="cpu",
        seed=0, threads=1, log_dir=None, keep_last=0, keep_every=0, replay=experience(),
        weights=SharedWeights(policy.parameter_count), reach=Reach(tmp_path), run="",
    )  # fmt: skip
    ours, theirs = multiprocessing.Pipe()
    requests = io.BytesIO()
    learner = Learner(spec, theirs.send)
    ask(requests, Load(path, replay=at_start), Train(6, None), Stop())
    learner.serve(requests)
    _, loaded = ours.recv(), ours.recv()
    assert isinstance(loaded, Loaded)
    assert loaded.settings == (
        "settings are this run's: agent.discount 0.99 (saved: 0.5), agent.batch_size 8"
        " (saved: 12), agent.n_step 3 (saved: 1), agent.exploration ou (saved: gaussian)"
    )
    assert learner._agent.config == OWN
    expected = with_state_of(learned(other), OWN)
    for _ in range(6):
        expected.train(experience())
    for key, part in components(expected):
        assert same(part.state_dict(), dict(components(learner._agent))[key].state_dict()), key
    ask(requests, Load(tmp_path / "nowhere.pth", replay=False), Stop())
    learner.serve(requests)
    ours.recv()  # Trained
    assert isinstance(ours.recv(), Refused)
    learner.close()


def test_a_policy_whose_layout_is_another_here_is_not_driven(tmp_path: Path) -> None:
    """`evaluate` and `replay` have no run: the file's settings count, if they mean the same."""
    from td3_driver.configuration import Configuration

    settings, config = Configuration().to_mapping(), DrivingConfig(end_to_end=True)
    settings["driving"]["end_to_end"] = True
    path = tmp_path / "td3_1.pth"
    agent = TD3Agent(512 + config.spaces.vector_dim)
    agent.save_checkpoint(path, {"settings": settings, "meaning": of_policy(config)})
    assert load_trained(path).driving == config
    meaning = of_policy(config)
    meaning["vector"] = ["speed in km/h / 30", *meaning["vector"][1:]]
    agent.save_checkpoint(path, {"settings": settings, "meaning": meaning})
    with pytest.raises(ValueError, match=r"vector\[0\] is speed in km/h / 30 \(this run: speed"):
        load_trained(path)
    assert checkpoint.read(path)["run"]["meaning"]["vector"][0] == "speed in km/h / 30"
