# SPDX-License-Identifier: Apache-2.0
"""Other people's files under the command: what each is, in one line, and what can be read."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peers import Actor, Critic, Origin, TwinCritic, write_four_files
from test_commands import failure, run
from torch import Tensor, nn

from td3_driver.agent import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.importing.parts import name_of, role_of

STATE, ACTION = 11, 3


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Agent(nn.Module):
    """A whole agent in one module, as many programs have it."""

    def __init__(self, *hidden: int) -> None:
        super().__init__()
        self.actor = mlp(STATE, *hidden, ACTION)
        self.critic_1 = mlp(STATE + ACTION, *hidden, 1)
        self.critic_2 = mlp(STATE + ACTION, *hidden, 1)


class CleanRLActor(nn.Module):
    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(STATE, 32), nn.Linear(32, 32)
        self.fc_mu = nn.Linear(32, ACTION)
        self.register_buffer("action_scale", scale)
        self.register_buffer("action_bias", torch.zeros(ACTION))


class StochasticActor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(STATE, 32), nn.Linear(32, 32)
        self.fc_mean, self.fc_logstd = nn.Linear(32, ACTION), nn.Linear(32, ACTION)


def same_function(path: Path, agent: Agent, bound: float = 1.0) -> TD3Agent:
    """The converted file computes what the source does."""
    ours = TD3Agent.from_checkpoint(path)
    states, actions = torch.randn(16, STATE), torch.rand(16, ACTION)
    with torch.no_grad():
        expected = bound * torch.tanh(agent.actor(states))
        assert torch.allclose(ours.actor(states), expected, atol=1e-6)
        pair = ours.critic(states, actions)
        joined = torch.cat((states, actions), 1)
        for value, critic in zip(pair, (agent.critic_1, agent.critic_2), strict=True):
            assert torch.allclose(value, critic(joined).squeeze(1), atol=1e-6)
    return ours


# In one file.


def in_one_module(agent: Agent) -> Any:
    return agent.state_dict()


def data_parallel(agent: Agent) -> Any:
    return nn.DataParallel(agent).state_dict()


def lightning(agent: Agent) -> Any:
    return {"epoch": 3, "state_dict": agent.state_dict(), "hyper_parameters": {"lr": 1e-3}}


def by_network(agent: Agent) -> Any:
    return {
        "actor_state_dict": agent.actor.state_dict(),
        "critic1_state_dict": agent.critic_1.state_dict(),
        "critic2_state_dict": agent.critic_2.state_dict(),
        "total_steps": 5,
    }


def nested(agent: Agent) -> Any:
    networks = {"pi": agent.actor, "q0": agent.critic_1, "q1": agent.critic_2}
    return {"model": {name: {"state_dict": net.state_dict()} for name, net in networks.items()}}


@pytest.mark.parametrize(
    "packed",
    [in_one_module, data_parallel, lightning, by_network, nested],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("hidden", [(32, 32), (24, 16, 8), (32,)])
def test_an_agent_in_one_file(
    tmp_path: Path, packed: Callable[[Agent], Any], hidden: tuple[int, ...]
) -> None:
    agent = Agent(*hidden)
    torch.save(packed(agent), tmp_path / "model.pth")
    assert run("convert", tmp_path / "model.pth", tmp_path / "td3_0.pth") == 0
    ours = same_function(tmp_path / "td3_0.pth", agent)
    assert ours.config.hidden_sizes == hidden


def test_cleanrl_with_its_bound_of_actions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent, theirs = Agent(32, 32), CleanRLActor(torch.full((ACTION,), 2.0))
    agent.actor.load_state_dict(
        dict(zip(agent.actor.state_dict(), list(theirs.state_dict().values())[2:], strict=True))
    )
    critics = agent.critic_1.state_dict(), agent.critic_2.state_dict()
    source = tmp_path / "td3_continuous_action.cleanrl_model"
    torch.save((theirs.state_dict(), *critics), source)
    assert run("convert", source, tmp_path / "td3_0.pth") == 0
    assert "from CleanRL's TD3" in capsys.readouterr().out
    assert same_function(tmp_path / "td3_0.pth", agent, bound=2.0).max_action == 2.0
    torch.save((CleanRLActor(torch.tensor([1.0, 2.0, 1.0])).state_dict(), *critics), source)
    assert "scaled by [1.0, 2.0, 1.0]" in failure(capsys, "convert", source, tmp_path / "b.pth")


def test_other_numbers_are_rounded_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Agent(32, 32)
    torch.save({"max_action": 1.5, "net": agent.double().state_dict()}, tmp_path / "model.pt")
    assert run("convert", tmp_path / "model.pt", tmp_path / "td3_0.pth") == 0
    text = capsys.readouterr().out
    assert "  weights: rounded to float32 from torch.float64\n" in text
    assert "max_action" not in text
    same_function(tmp_path / "td3_0.pth", agent.float(), bound=1.5)


# In several.


FILES = (
    ("run_{}", "run"),
    ("run_{}.pth", "run"),
    ("run-v1.0_{}.pt", "run-v1.0"),
    ("{}.pth", ""),
    ("{}_td3", "td3"),
    ("{}_500.ckpt", "500"),
    ("best_{}_net.pth", "best_net"),
)


@pytest.mark.parametrize(("pattern", "name"), FILES)
@pytest.mark.parametrize(
    "critics", [("critic",), ("critic_1", "critic_2"), ("critic1", "critic2")]
)
def test_an_agent_in_several_files(
    tmp_path: Path, pattern: str, name: str, critics: tuple[str, ...]
) -> None:
    """Given either half, what the names share, or the folder."""
    folder, agent = tmp_path / "models", Agent(32, 32)
    folder.mkdir()
    states = [agent.critic_1.state_dict(), agent.critic_2.state_dict()]
    if len(critics) == 1:
        named = zip(("Q1", "Q2"), states, strict=True)
        states = [{f"{q}.{key}": item for q, state in named for key, item in state.items()}]
    for role, state in zip(("actor", *critics), (agent.actor.state_dict(), *states), strict=True):
        torch.save(state, folder / pattern.format(role))
    adam = torch.optim.Adam(agent.actor.parameters(), lr=7e-4)
    torch.save(adam.state_dict(), folder / pattern.format("actor_optimizer"))
    (folder / "actor.py").write_text("# how it was made")
    given = [folder, folder / pattern.format("actor"), folder / pattern.format(critics[-1])]
    given += [folder / pattern.format("actor_optimizer"), *([folder / name] if name else [])]
    for number, source in enumerate(given):
        made = tmp_path / f"td3_{number}.pth"
        assert run("convert", source, made) == 0, source
        assert same_function(made, agent).config.learning_rate == 7e-4


def test_half_a_name_without_its_suffix(tmp_path: Path) -> None:
    agent = Agent(32, 32)
    torch.save(agent.actor.state_dict(), tmp_path / "a_actor.pth")
    torch.save({"q1": agent.critic_1.state_dict(), "q2": agent.critic_2.state_dict()},
               tmp_path / "a_critic.pth")  # fmt: skip
    assert run("convert", tmp_path / "a_actor", tmp_path / "td3_0.pth") == 0
    same_function(tmp_path / "td3_0.pth", agent)


def test_targets_in_files_of_their_own(tmp_path: Path) -> None:
    agent, target = Agent(32, 32), Agent(32, 32)
    for prefix, one in (("", agent), ("target_", target)):
        for role in ("actor", "critic_1", "critic_2"):
            torch.save(one.get_submodule(role).state_dict(), tmp_path / f"{prefix}{role}_td3")
    assert run("convert", tmp_path, tmp_path / "td3_0.pth") == 0
    ours = same_function(tmp_path / "td3_0.pth", agent)
    assert torch.equal(ours.actor_target.layers[0].weight, target.actor[0].weight)
    assert torch.equal(ours.critic_target.q2[4].bias, target.critic_2[4].bias)


def test_an_optimizer_for_each_critic(tmp_path: Path) -> None:
    agent = Agent(32, 32)
    moments = {}
    for role in ("actor", "critic_1", "critic_2"):
        network = agent.get_submodule(role)
        adam = torch.optim.Adam(network.parameters(), lr=1e-3)
        inputs = STATE if role == "actor" else STATE + ACTION
        network(torch.randn(4, inputs)).square().mean().backward()
        adam.step()
        moments[role] = adam.state_dict()["state"][0]["exp_avg"]
        content = {"state_dict": network.state_dict(), "optimizer": adam.state_dict()}
        torch.save(content, tmp_path / f"{role}.pth")
    assert run("convert", tmp_path, tmp_path / "td3_0.pth") == 0
    ours = same_function(tmp_path / "td3_0.pth", agent)
    for network, layer, role in (
        (ours.actor_optimizer, ours.actor.layers[0], "actor"),
        (ours.critic_optimizer, ours.critic.q1[0], "critic_1"),
        (ours.critic_optimizer, ours.critic.q2[0], "critic_2"),
    ):
        assert torch.equal(network.state[layer.weight]["exp_avg"], moments[role])


def test_the_origins_file_of_several_cards(tmp_path: Path) -> None:
    payload = Origin("C").checkpoint()
    for key in ("actor_state_dict", "critic_state_dict", "actor_cnn_state_dict"):
        payload[key] = {f"module.{name}": item for name, item in payload[key].items()}
    torch.save(payload, tmp_path / "origin.pth")
    assert run("convert", tmp_path / "origin.pth", tmp_path / "td3_0.pth") == 0


def test_which_of_several_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        for role in ("actor", "critic"):
            state = {"actor": Actor(STATE, ACTION, 32, "l"), "critic": Critic(STATE, ACTION, 32)}
            torch.save(state[role].state_dict(), tmp_path / f"{name}_{role}.pth")
    text = failure(capsys, "convert", tmp_path, tmp_path / "out.pth")
    assert text.endswith("say which with --name: one, two\n")
    assert run("convert", tmp_path, tmp_path / "out.pth", "--name", "two") == 0


@pytest.mark.parametrize(
    ("file", "role", "name"),
    [
        ("TD3_Hopper-v1_0_actor", "actor", "TD3_Hopper-v1_0"),
        ("TD3_Hopper-v1_0_critic_optimizer", "critic_optimizer", "TD3_Hopper-v1_0"),
        ("actor.pth", "actor", ""),
        ("actor_target.pt", "actor_target", ""),
        ("target_critic_2_td3", "critic2_target", "td3"),
        ("qf1_final.pth", "critic1", "final"),
        ("td3_policy_1000.pth", "actor", "td3_1000"),
        ("optimizer_critic.pth", "critic_optimizer", ""),
        ("factory.pth", "", "factory"),
    ],
)
def test_what_names_tell(file: str, role: str, name: str) -> None:
    assert role_of(file) == role
    assert name_of(file) == name


# What cannot be converted.


def saved(value: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path)


def legacy(value: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path, _use_new_zipfile_serialization=False)


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def zipped(**members: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in members.items():
                archive.writestr(name.replace("__", "/").replace("UP", ".."), text)

    return write


def cut(path: Path) -> None:
    torch.save(Agent(32).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])


def torch_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(mlp(STATE, 8, ACTION)), path)


def whole_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Agent(8), protocol=0))


ACTOR = mlp(STATE, 32, 32, ACTION).state_dict()
VALUE = mlp(STATE + ACTION, 32, 32, 1).state_dict()
TWIN = TwinCritic(STATE, ACTION, 32).state_dict()
SAFETENSORS = json.dumps({"__metadata__": {}}).encode()
KINDS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "empty": ("a.pth", written(b""), "it is empty"),
    "cut off": ("a.pth", cut, "a zip archive that is damaged or cut off"),
    "zeros": ("a.pth", written(bytes(500)), "no archive and no pickle"),
    "noise": ("a.bin", written(b"\x93" + bytes(range(1, 256))), "no archive and no pickle"),
    "web page": ("a.pth", written(b"<!DOCTYPE html><html>"), "a web page"),
    "git lfs": ("a.pth", written(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "gzip": ("a.pth", written(b"\x1f\x8b\x08" + bytes(50)), "compressed with gzip"),
    "text": ("a.txt", written(b"weights: none\n"), "it is text"),
    "onnx": ("a.onnx", written(b"\x08\x08\x12\x07pytorch\x1a\x03"), "ONNX model, an actor alone"),
    "keras": ("a.h5", written(b"\x89HDF\r\n\x1a\n" + bytes(50)), "HDF5"),
    "safetensors": (
        "a.safetensors", written(len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS),
        "a safetensors file",
    ),
    "numpy": ("a.npz", lambda path: np.savez(path, w=np.ones(3)), "archive of NumPy arrays"),
    "torchscript": ("a.pt", torch_script, "a TorchScript module"),
    "traversal": ("a.zip", zipped(UP__UP__etc__passwd="x"), "neither torch nor Stable-Baselines3"),
    "traversal and a policy": ("a.zip", zipped(UP__x="x", **{"policy.pth": "y"}), "no item named"),
    "stable-baselines 2": ("a.zip", zipped(data="{}", parameter_list="[]"), "Stable-Baselines 2"),
    "in a folder of the zip": ("a.zip", zipped(data="", **{"m/policy.pth": ""}), "in a folder"),
    "module": ("a.pth", saved(Agent(8)), "a whole module, pickled (test_foreign_files.Agent"),
    "old module": ("a.pth", legacy(Agent(8)), "a whole module, pickled (test_foreign_files.Agent"),
    "pickle": ("a.pkl", whole_pickle, "a whole module, pickled"),
    "numbers of numpy": ("a.pkl", saved({"w": np.ones(3)}), "with more than tensors (numpy."),
    "an actor": ("run_actor.pth", saved(ACTOR), "run_critic.pt, run_critic_1 with run_critic_2"),
    "a critic": ("critic.pth", saved(TWIN), "it is a critic alone; its actor actor: is missing"),
    "an optimizer": ("opt.pth", saved(torch.optim.Adam(Agent(8).parameters()).state_dict()),
                     "an optimizer's state alone"),
    "ddpg": ("a.pth", saved({"actor": ACTOR, "critic": VALUE}), "of one critic: a DDPG model"),
    "cleanrl's ddpg": ("a.cleanrl_model", saved((ACTOR, VALUE)), "of one critic: a DDPG model"),
    "origin's keys, one critic": (
        "a.pth", saved({"actor_state_dict": ACTOR, "critic_state_dict": VALUE}), "a DDPG model",
    ),
    "sac": ("a.pth", saved((StochasticActor().state_dict(), VALUE, VALUE)),
            "of a stochastic actor (it has fc_logstd.weight)"),
    "ppo": ("a.pth", saved({"actor_mean.0.weight": torch.ones(2, 2), "actor_logstd": torch.ones(2),
                            "critic.0.weight": torch.ones(1, 2)}), "of a stochastic actor"),
    "dqn": ("a.pth", saved({"q_net.0.weight": torch.ones(4, 3)}), "Q values without an actor"),
    "no names": ("a.pth", saved(ACTOR), "neither actor nor critic (0.weight, 0.bias, ..., 11 num"),
    "no networks": ("a.pth", saved({"epoch": 3}), "without networks (epoch)"),
    "a list": ("a.pth", saved([1, 2, 3]), "without networks"),
    "a tensor": ("a.pth", saved(torch.ones(3)), "without networks"),
    "odd values": ("a.pth", saved({"actor": {"a": "x"}, "critic": [1]}), "without networks"),
    "normalisation": (
        "a.pth", saved({"actor": {**ACTOR, "1.weight": torch.ones(8)}, "critic": TWIN}),
        "actor has 1.weight, which this package does not know (of a normalisation?)",
    ),
    "no hidden layer": (
        "a.pth", saved({"actor": mlp(STATE, ACTION).state_dict(), "critic": TWIN}),
        "no hidden layer",
    ),
    "complex": (
        "a.pth", saved({"actor": {**ACTOR, "0.weight": torch.ones(32, 11) * 1j}, "critic": TWIN}),
        "complex64",
    ),
    "an encoder": (
        "a.pth", saved({"actor": ACTOR, "critic": TWIN, "actor_encoder": mlp(3, 2).state_dict()}),
        "has actor_encoder of no known form",
    ),
    "no scale": (
        "a.pth", saved(({**ACTOR, "action_scale": torch.ones(0)}, VALUE, VALUE)), "scaled by []",
    ),
    "odd settings": (
        "a.pth", saved({"actor": ACTOR, "critic": TWIN, "max_action": "big"}), "odd contents",
    ),
    "other sizes": (
        "a.pth", saved({"actor": ACTOR, "critic": TwinCritic(STATE + 1, ACTION, 32).state_dict()}),
        "critic.q1.0.weight is (32, 15), not (32, 14)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    file, write, reason = KINDS[kind]
    write(tmp_path / file)
    for words in (("inspect",), ("verify",), ("convert",)):
        more = [tmp_path / "out.pth"] if words == ("convert",) else []
        text = failure(capsys, *words, tmp_path / file, *more)
        assert reason in text
        assert str(tmp_path / file).rpartition(".")[0] in text
    assert not (tmp_path / "out.pth").exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {file}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("rllib_checkpoint.json", "a checkpoint of RLlib"),
        ("hparams.yaml", "PyTorch Lightning; name the .ckpt file"),
        ("saved_model.pb", "a SavedModel of TensorFlow"),
        ("policy.pth", "an unpacked Stable-Baselines3 archive"),
        ("notes.txt", "has no file NAME_actor"),
    ],
)
def test_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: str, reason: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / entry).write_text("")
    for words in (("inspect",), ("convert", tmp_path / "out.pth")):
        assert reason in failure(capsys, words[0], tmp_path / "in", *words[1:])


class Intruder:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["pickle", "zip", "legacy", "in an optimizer"])
def test_no_strangers_pickle_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    file, code = tmp_path / "run_actor.pth", Intruder(tmp_path / "mark")
    if how == "pickle":
        file.write_bytes(pickle.dumps(code))
    elif how == "in an optimizer":
        write_four_files(tmp_path / "run")
        torch.save({"state": code, "param_groups": []}, tmp_path / "run_actor_optimizer")
        file = tmp_path / "run_actor"
    else:
        torch.save({"actor": code}, file, _use_new_zipfile_serialization=how == "zip")
    for words in (("inspect",), ("verify",), ("convert",)):
        more = [tmp_path / "out.pth"] if words == ("convert",) else []
        text = failure(capsys, *words, file, *more)
        assert "without running code in it" in text
        assert "posix.mkdir" in text or "nt.mkdir" in text
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("packed", [saved, legacy], ids=["archive", "old"])
def test_damage_ends_in_one_line_wherever_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], packed: Callable[..., Any]
) -> None:
    """Bytes flipped, cut off and put in at random: converted, or refused."""
    rng, path = np.random.default_rng(0), tmp_path / "agent.pth"
    agent = Agent(8)
    packed(agent.state_dict())(path)
    sound = path.read_bytes()
    for number in range(150):
        content = bytearray(sound)
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 40))
        if number % 3 == 0:
            del content[at:]
        elif number % 3 == 1:
            content[at : at + length] = rng.bytes(length)
        else:
            content[at:at] = rng.bytes(length)
        path.write_bytes(content)
        code = run("convert", path, tmp_path / f"out_{number}.pth")
        captured = capsys.readouterr()
        assert code == bool(captured.err)
        assert captured.err.count("\n") == code, captured.err
        if code == 0 and packed is saved:  # what is left is between its checked members
            same_function(tmp_path / f"out_{number}.pth", agent)


def test_names_in_a_file_cannot_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(
        {"actor": {**ACTOR, "\x1b[2J\n.weight": torch.ones(2)}, "critic": TWIN}, tmp_path / "a"
    )
    text = failure(capsys, "inspect", tmp_path / "a")
    assert "\x1b" not in text
    assert r"has \x1b[2J\n.weight" in text


# What can.


@pytest.mark.parametrize("kind", ["four files", "origin", "cleanrl", "folder"])
def test_a_convertible_file_is_told_with_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """And the command, typed as it stands, converts it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "with a space"
    folder.mkdir()
    origin = {
        "four files": "the original TD3", "folder": "the original TD3",
        "origin": "the origin system, era C", "cleanrl": "another program's TD3",
    }[kind]  # fmt: skip
    source = folder / "a.pth"
    if kind in ("four files", "folder"):
        write_four_files(folder / "run")
        source = folder / "run_critic" if kind == "four files" else folder
    elif kind == "origin":
        torch.save(Origin("C").checkpoint(), source)
    else:
        torch.save((ACTOR, VALUE, VALUE), source)
    for action in ("inspect", "verify", "diff", "export"):
        more = {"diff": [source], "export": ["--onnx", tmp_path / "a.onnx"]}.get(action, [])
        text = failure(capsys, action, source, *more)
        told, _, command = text.strip().partition("; convert it with: ")
        assert told.endswith(f"{source}: is a checkpoint of {origin}")
    words = shlex.split(command)
    assert words[:3] == ["td3_driver", "checkpoint", "convert"]
    assert run(*words[2:]) == 0
    made = Path(words[-1])
    assert run("verify", made) == 0
    # A second time the name is taken, and another is given.
    assert failure(capsys, "inspect", source).strip().split()[-1] != str(made)


def test_a_damaged_file_of_ours_is_no_strangers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "td3_0.pth"
    TD3Agent(5, use_dict_buffer=False).save_checkpoint(path)
    assert checkpoint.is_ours(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged: its SHA-256 is wrong" in failure(capsys, "inspect", path)
    content[:4] = b"none"
    path.write_bytes(content)
    assert "is damaged: its SHA-256 is wrong" in failure(capsys, "verify", path)
