# SPDX-License-Identifier: Apache-2.0
"""Files that the real Stable-Baselines3 wrote: the same actions, values and moments here."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.agent.networks import joined_state
from td3_driver.interchange.importing.conversion import convert
from td3_driver.interchange.importing.source import Source
from td3_driver.interchange.inspection import verify

sb3 = pytest.importorskip("stable_baselines3", reason="it writes the files that are read here")
DDPG, PPO, SAC, TD3 = sb3.DDPG, sb3.PPO, sb3.SAC, sb3.TD3
NatureCNN = sb3.common.torch_layers.NatureCNN
obs_as_tensor = sb3.common.utils.obs_as_tensor
IMAGE = spaces.Box(0, 255, (4, 36, 36), np.uint8)
VECTOR = spaces.Box(-2, 2, (5,), np.float32)
SPACES: dict[str, spaces.Space[Any]] = {
    "MlpPolicy": VECTOR,
    "CnnPolicy": IMAGE,
    "MultiInputPolicy": spaces.Dict({"image": IMAGE, "vector": VECTOR}),
}


class Noise(gymnasium.Env[Any, Any]):
    """Random observations in episodes of five steps."""

    def __init__(self, observation: spaces.Space[Any], bound: float = 1.0) -> None:
        self.observation_space = observation
        self.action_space = spaces.Box(-bound, bound, (2,), np.float32)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        return self.observation_space.sample(), float(action[0]), self._steps == 5, False, {}


def trained(policy: str, observation: spaces.Space[Any], **settings: Any) -> TD3:
    settings = {"policy_kwargs": {"net_arch": [24, 16]}, **settings}
    bound = settings.pop("bound", 1.0)
    model = TD3(
        policy,
        Noise(observation, bound),
        buffer_size=50,
        learning_starts=4,
        batch_size=4,
        seed=0,
        gamma=0.97,
        tau=0.02,
        learning_rate=5e-4,
        device="cpu",
        **settings,
    )
    return model.learn(12)


def imported(model: TD3, folder: Path) -> tuple[TD3Agent, Source]:
    model.save(folder / "sb3.zip")
    destination = folder / "td3_imported.pth"
    found = convert(folder / "sb3.zip", destination)
    verify(destination)
    return TD3Agent.from_checkpoint(destination), found


def ours(observation: Any, state_dim_without_image: int = 0) -> Any:
    """An observation of SB3's as this package's agents take it."""
    if isinstance(observation, dict) or observation.dtype == np.float32:
        return observation
    return {"image": observation, "vector": np.zeros(state_dim_without_image, np.float32)}


def batch(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: value[None] for key, value in observation.items()}
    return observation[None]


def values(agent: TD3Agent, observation: Any, action: np.ndarray) -> list[float]:
    taken = ours(observation)
    image = None
    vector = taken
    if isinstance(taken, dict):
        image, vector = torch.from_numpy(taken["image"][None]), taken["vector"]
    state = joined_state(agent.critic_cnn, image, torch.from_numpy(vector[None]))
    q1, q2 = agent.critic(state, torch.from_numpy(action[None]))
    return [float(q1), float(q2)]


@pytest.mark.parametrize("policy", SPACES)
def test_actions_and_values_are_the_same(tmp_path: Path, policy: str) -> None:
    model = trained(policy, SPACES[policy])
    agent, found = imported(model, tmp_path)
    assert found.origin.startswith("Stable-Baselines3 2.")
    SPACES[policy].seed(3)
    for _ in range(8):
        observation = SPACES[policy].sample()
        action, _ = model.predict(observation, deterministic=True)
        assert np.allclose(agent.select_action(ours(observation)), action, atol=1e-5)
        inputs = obs_as_tensor(batch(observation), "cpu"), torch.tensor(action[None])
        with torch.no_grad():
            expected = [float(q) for q in model.critic(*inputs)]
            assert np.allclose(values(agent, observation, action), expected, atol=1e-4)


@pytest.mark.parametrize("policy", SPACES)
def test_settings_counters_targets_and_moments(tmp_path: Path, policy: str) -> None:
    model = trained(policy, SPACES[policy])
    agent, found = imported(model, tmp_path)
    assert (agent.discount, agent.tau, agent.policy_freq) == (0.97, 0.02, 2)
    assert agent.config.learning_rate == 5e-4
    assert (agent.env_steps, agent.episodes, agent.total_it) == (12, 2, model._n_updates)
    assert torch.equal(agent.actor_target.layers[2].weight, model.actor_target.mu[2].weight)
    assert torch.equal(agent.critic_target.q2[4].bias, model.critic_target.qf1[4].bias)
    own = agent.critic_optimizer.state[agent.critic.q1[0].weight]
    theirs = model.critic.optimizer.state[model.critic.qf0[0].weight]
    for key in ("step", "exp_avg", "exp_avg_sq"):
        assert torch.equal(own[key], theirs[key])
    lacking = [note for note in found.notes if "moments" in note]
    with_images = policy != "MlpPolicy"
    assert len(lacking) == 2 * with_images
    if with_images:
        assert lacking[0] == "actor_cnn_optimizer: no moments of conv1.weight, conv1.bias"
        assert agent.config.image_size == 36


# Files of older versions, made of today's: the members and the words in which they differ.


def rewritten(path: Path, version: str, spaces: str) -> None:
    """As version 1.0 to 1.5, or 2.0 to 2.3, would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}
    data = json.loads(parts["data"])
    for name in ("observation_space", "action_space"):
        old = data[name]
        old[":serialized:"] = base64.b64encode(b"\x80\x04no pickle of ours").decode()
        if spaces != "gymnasium":
            old[":type:"] = old[":type:"].replace("gymnasium", "gym")
            old["shape"] = old.pop("_shape")
            if isinstance(old["shape"], str):
                old["shape"] = json.loads(old["shape"].replace("(", "[").replace(")", "]"))
            old["np_random"] = "RandomState(MT19937)"
        if "spaces" in old:
            items = re.findall(r"('\w+'): (Box\([^()]*\([\d, ]+\)[^()]*\))", old["spaces"])
            if spaces == "gym 0.17":
                items = [
                    (name, re.sub(r"Box\(.*?\((.*?)\).*", r"Box(\1)", box)) for name, box in items
                ]
            old["spaces"] = (
                f"OrderedDict([{', '.join(f'({name}, {box})' for name, box in items)}])"
            )
    if version.startswith("1."):
        parts.pop("system_info.txt")
        data.pop("n_steps", None)  # of the returns, since 2.7
    parts["data"] = json.dumps(data).encode()
    parts["_stable_baselines3_version"] = version.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for item, content in parts.items():
            archive.writestr(item, content)


@pytest.mark.parametrize("policy", SPACES)
@pytest.mark.parametrize(
    ("version", "spaces"), [("1.0", "gym 0.17"), ("1.5.0", "gym 0.21"), ("2.2.1", "gymnasium")]
)
def test_archives_of_older_versions(
    tmp_path: Path, policy: str, version: str, spaces: str
) -> None:
    """Up to 1.5 with images one CNN for actor and critic was the default."""
    kwargs = {"net_arch": [24, 16], "share_features_extractor": version.startswith("1.")}
    model = trained(policy, SPACES[policy], policy_kwargs=kwargs)
    model.save(tmp_path / "sb3.zip")
    rewritten(tmp_path / "sb3.zip", version, spaces)
    found = convert(tmp_path / "sb3.zip", tmp_path / "td3_0.pth")
    assert found.origin == f"Stable-Baselines3 {version} TD3"
    agent = TD3Agent.from_checkpoint(tmp_path / "td3_0.pth")
    observation = SPACES[policy].sample()
    action, _ = model.predict(observation, deterministic=True)
    assert np.allclose(agent.select_action(ours(observation)), action, atol=1e-5)
    inputs = obs_as_tensor(batch(observation), "cpu"), torch.tensor(action[None])
    with torch.no_grad():
        expected = [float(q) for q in model.critic(*inputs)]
        assert np.allclose(values(agent, observation, action), expected, atol=1e-4)
    shared = any("shares the actor's" in note for note in found.notes)
    assert shared == (policy != "MlpPolicy" and version.startswith("1."))
    if policy != "MlpPolicy":
        assert agent.config.image_size == 36
    own = agent.critic_optimizer.state[agent.critic.q1[0].weight]
    theirs = model.critic.optimizer.state[model.critic.qf0[0].weight]
    assert torch.equal(own["exp_avg"], theirs["exp_avg"])


@pytest.mark.parametrize("spaces", ["gym 0.17", "gym 0.21", "gymnasium"])
def test_another_order_of_inputs_is_noticed_in_any_words(tmp_path: Path, spaces: str) -> None:
    observation = gymnasium.spaces.Dict({"image": IMAGE, "body": VECTOR})
    trained("MultiInputPolicy", observation).save(tmp_path / "sb3.zip")
    rewritten(tmp_path / "sb3.zip", "1.5.0" if spaces != "gymnasium" else "2.2.1", spaces)
    with pytest.raises(CheckpointError, match="its observation begins with 'body'"):
        convert(tmp_path / "sb3.zip", tmp_path / "out.pth")


def with_policy(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The archive with other tensors in policy.pth."""
    with zipfile.ZipFile(path) as archive:
        policy = torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)
    content = io.BytesIO()
    torch.save(change(dict(policy)), content)
    replaced(path, "policy.pth", content.getvalue())


def test_one_cnn_for_the_whole_policy(tmp_path: Path) -> None:
    """As before 1.0: the CNN beside actor and critic, which are called otherwise, too."""
    kwargs = {"net_arch": [24, 16], "share_features_extractor": True}
    model = trained("CnnPolicy", IMAGE, policy_kwargs=kwargs)
    model.save(tmp_path / "sb3.zip")

    def as_before(policy: dict[str, Any]) -> dict[str, Any]:
        top = {
            key.partition(".")[2]: item
            for key, item in policy.items()
            if key.startswith("actor.features_extractor.")
        }
        rest = {key: item for key, item in policy.items() if "features_extractor" not in key}
        names = {"qf0": "q1_net", "qf1": "q2_net"}
        return top | {
            ".".join(names.get(word, word) for word in key.split(".")): item
            for key, item in rest.items()
        }

    with_policy(tmp_path / "sb3.zip", as_before)
    found = convert(tmp_path / "sb3.zip", tmp_path / "td3_0.pth")
    assert any("shares the actor's" in note for note in found.notes)
    agent = TD3Agent.from_checkpoint(tmp_path / "td3_0.pth")
    observation = IMAGE.sample()
    action, _ = model.predict(observation, deterministic=True)
    assert np.allclose(agent.select_action(ours(observation)), action, atol=1e-5)


def test_the_default_for_pixels_up_to_1_5_has_no_hidden_layer(tmp_path: Path) -> None:
    kwargs = {"net_arch": [], "share_features_extractor": True}
    text = refusal(trained("CnnPolicy", IMAGE, policy_kwargs=kwargs), tmp_path)
    assert "no hidden layer (net_arch [], as up to 1.5 by default with images)" in text


def test_what_every_policy_has_may_be_given(tmp_path: Path) -> None:
    kwargs = {
        "net_arch": [8], "optimizer_class": torch.optim.Adam, "normalize_images": True,
        "features_extractor_class": NatureCNN,
    }  # fmt: skip
    imported(trained("CnnPolicy", IMAGE, policy_kwargs=kwargs), tmp_path)


def test_one_critic_is_a_ddpg_model(tmp_path: Path) -> None:
    model = DDPG("MlpPolicy", Noise(VECTOR), buffer_size=50, policy_kwargs={"net_arch": [8]})
    assert "it has one critic (qf0): a DDPG model; TD3 has two" in refusal(model, tmp_path)
    kwargs = {"n_critics": 1, "net_arch": [8]}
    model = trained("MlpPolicy", VECTOR, policy_kwargs=kwargs)
    assert "one critic (qf0): a DDPG model" in refusal(model, tmp_path)


def test_other_bounds_of_actions_are_said(tmp_path: Path) -> None:
    agent, found = imported(trained("MlpPolicy", VECTOR, bound=2.0), tmp_path)
    assert agent.max_action == 1.0
    assert any("the source's space is [-2. -2.] to [2. 2.]" in note for note in found.notes)


def refusal(model: Any, folder: Path) -> str:
    model.save(folder / "sb3.zip")
    with pytest.raises(CheckpointError) as caught:
        convert(folder / "sb3.zip", folder / "out.pth")
    text = str(caught.value)
    assert "\n" not in text
    assert not (folder / "out.pth").exists()
    return text


def test_another_activation_is_refused(tmp_path: Path) -> None:
    kwargs = {"activation_fn": torch.nn.Tanh}
    text = refusal(trained("MlpPolicy", VECTOR, policy_kwargs=kwargs), tmp_path)
    assert "its policy has activation_fn <class 'torch.nn.modules.activation.Tanh'>" in text


def test_the_usual_activation_may_be_given(tmp_path: Path) -> None:
    kwargs = {"activation_fn": torch.nn.ReLU, "net_arch": [8]}
    imported(trained("MlpPolicy", VECTOR, policy_kwargs=kwargs), tmp_path)


def test_another_order_of_inputs_is_refused(tmp_path: Path) -> None:
    observation = spaces.Dict({"image": IMAGE, "body": VECTOR})
    text = refusal(trained("MultiInputPolicy", observation), tmp_path)
    assert "its observation begins with 'body'" in text


def test_another_number_of_critics_is_refused(tmp_path: Path) -> None:
    kwargs = {"n_critics": 3, "net_arch": [8]}
    text = refusal(trained("MlpPolicy", VECTOR, policy_kwargs=kwargs), tmp_path)
    assert "qf2" in text


def test_another_algorithm_is_refused(tmp_path: Path) -> None:
    model = SAC("MlpPolicy", Noise(VECTOR), buffer_size=50, policy_kwargs={"net_arch": [8]})
    assert "another Stable-Baselines3 algorithm than TD3: SAC" in refusal(model, tmp_path)
    ppo = PPO("MlpPolicy", Noise(VECTOR), n_steps=8, batch_size=8)
    assert "another Stable-Baselines3 algorithm than TD3: PPO" in refusal(ppo, tmp_path)


class Intruder:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def replaced(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for item, old in parts.items():
            archive.writestr(item, content if item == name else old)


def test_pickles_in_the_settings_are_not_decoded(tmp_path: Path) -> None:
    model = trained("MlpPolicy", VECTOR)
    model.save(tmp_path / "sb3.zip")
    with zipfile.ZipFile(tmp_path / "sb3.zip") as archive:
        data = json.loads(archive.read("data"))
    bad = base64.b64encode(pickle.dumps(Intruder(tmp_path / "mark"))).decode()
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = bad
    replaced(tmp_path / "sb3.zip", "data", json.dumps(data).encode())
    convert(tmp_path / "sb3.zip", tmp_path / "out.pth")
    assert not (tmp_path / "mark").exists()


def test_a_pickle_in_place_of_the_weights_is_not_run(tmp_path: Path) -> None:
    trained("MlpPolicy", VECTOR).save(tmp_path / "sb3.zip")
    torch.save(Intruder(tmp_path / "mark"), tmp_path / "bad.pth")
    replaced(tmp_path / "sb3.zip", "policy.pth", (tmp_path / "bad.pth").read_bytes())
    with pytest.raises(CheckpointError, match="running code"):
        convert(tmp_path / "sb3.zip", tmp_path / "out.pth")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"no json", b"[]"])
def test_settings_that_are_none(tmp_path: Path, content: bytes) -> None:
    trained("MlpPolicy", VECTOR).save(tmp_path / "sb3.zip")
    replaced(tmp_path / "sb3.zip", "data", content)
    with pytest.raises(CheckpointError, match="its settings"):
        convert(tmp_path / "sb3.zip", tmp_path / "out.pth")
