# SPDX-License-Identifier: Apache-2.0
"""`td3_driver checkpoint`: what a user sees, and the exit codes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from peers import Origin, write_four_files
from small_agent import SMALL, fill

from td3_driver.agent import TD3Agent
from td3_driver.agent.algorithm import ALGORITHMS
from td3_driver.checkpoints import checkpoint
from td3_driver.commands import checkpoint as checkpoint_command
from td3_driver.interchange.onnx_export import LARGEST_DIFFERENCE
from td3_driver.replay import file as replay_file


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="td3_driver")
    checkpoint_command.add_parser(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args(["checkpoint", *map(str, words)])
    code: int = args.execute(args)
    return code


def failure(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Run what must fail with one line on stderr."""
    assert run(*words) == 1
    text = capsys.readouterr().err
    assert text.startswith(f"td3_driver checkpoint {words[0]}: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize("action", ["inspect", "verify", "diff", "convert", "export"])
def test_help_and_wrong_usage(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(action, "--help")
    assert caught.value.code == 0
    with pytest.raises(SystemExit) as caught:
        run(action)
    assert caught.value.code == 2


def test_inspect(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", saved) == 0
    text = capsys.readouterr().out
    assert "format 2" in text
    assert "env_steps 40, episodes 3, total_it 4" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["critic_cnn"][1:2] == ["2,716"]
    assert rows["critic_cnn"][-4:] == ["4", "6", "of", "6"]
    assert rows["actor_cnn.conv1.weight"][1] == "4x4x8x8"
    assert "hidden_sizes: [24, 24]" in text
    assert "git: " in text
    assert text.rstrip().endswith("replay: none was saved, a resumed run starts with an empty one")


def test_inspect_names_what_is_missing(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = checkpoint.read(saved)
    del payload["critic_cnn_state_dict"]
    payload["actor_cnn_target_state_dict"] = None
    payload["actor_optimizer_state_dict"]["state"] = {}
    checkpoint.write(saved, payload)
    assert run("inspect", saved) == 0
    text = capsys.readouterr().out
    assert "  critic_cnn_state_dict\n" in text
    assert "  actor_cnn_target_state_dict: is None\n" in text
    assert "  actor_optimizer_state_dict: has no moments" in text
    assert "missing" in failure(capsys, "verify", saved)


def test_inspect_of_an_agent_without_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = TD3Agent(5, config=SMALL, use_dict_buffer=False)
    agent.save_checkpoint(tmp_path / "td3_0.pth")
    assert run("inspect", tmp_path / "td3_0.pth") == 0
    text = capsys.readouterr().out
    assert "is None" not in text
    assert "critic_optimizer_state_dict: has no moments" in text


def test_inspect_of_nonsense(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.write(saved, {"actor_state_dict": 3, "format_version": 2})
    assert "its contents are not a checkpoint's" in failure(capsys, "inspect", saved)


def test_verify(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay, other = fill(100), saved.with_name("td3_41.pth")
    link = replay_file.save(replay, other.with_suffix(".replay"), 100, None)
    checkpoint.write(other, {**checkpoint.read(saved), "replay": link.to_mapping()})
    assert run("verify", saved, other) == 0
    sound = capsys.readouterr().out
    assert sound == f"{saved}: sound, no replay\n{other}: sound, replay of 100 rows\n"
    rows = other.with_suffix(".replay")
    rows.write_bytes(rows.read_bytes()[:-1])
    assert "td3_41.replay: is cut off" in failure(capsys, "verify", saved, other)
    rows.unlink()
    assert run("verify", other) == 0
    assert "its replay td3_41.replay is not beside it" in capsys.readouterr().out
    assert run("verify", other, saved.with_name("no.pth"), saved) == 1
    captured = capsys.readouterr()
    assert captured.out.count("sound") == 2
    assert "no.pth: there is no such checkpoint file" in captured.err


def test_diff(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", saved, saved) == 0
    assert capsys.readouterr().out == "no difference\n"
    agent = TD3Agent.from_checkpoint(saved)
    agent.train(fill(), 8)
    agent.save_checkpoint(saved.with_name("b.pth"), run={"clock": 2.0})
    assert run("diff", saved, saved.with_name("b.pth")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "total_it: 4 -> 5" in lines
    assert "run.clock: only in the second" in lines
    assert any(line.startswith("critic_state_dict: 12 of 12 tensors differ") for line in lines)
    assert not any(line.startswith("actor_state_dict") for line in lines), "policy_freq is 2"
    other = TD3Agent(22, config=SMALL)
    other.save_checkpoint(saved.with_name("c.pth"))
    assert run("diff", saved, saved.with_name("c.pth")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "actor_state_dict.layers.0.weight: shape 24x21 -> 24x22" in lines
    assert "no such" in failure(capsys, "diff", saved, saved.with_name("d.pth"))


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_four_files(tmp_path / "run")
    out = tmp_path / "td3_0.pth"
    assert run("convert", tmp_path, out, "--name", "run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{out}: from the original TD3"
    assert "  random states: not in the source, made from seed 0" in lines
    assert run("verify", out) == 0
    assert run("inspect", out) == 0
    assert "import: actor_target: not in the source, a copy of actor" in capsys.readouterr().out
    assert "exists already" in failure(capsys, "convert", tmp_path, out, "--name", "run")


def test_a_file_of_another_program_is_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(Origin("A").checkpoint(), tmp_path / "origin.pth")
    for action in ("inspect", "verify"):
        assert "td3_driver checkpoint convert" in failure(capsys, action, tmp_path / "origin.pth")


@pytest.mark.parametrize(("name", "images"), [("td3", True), ("td3", False), ("sac", True)])
def test_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, images: bool
) -> None:
    pytest.importorskip("onnxscript")
    agent = ALGORITHMS[name](
        21 if images else 5,
        config={**SMALL, "algorithm": name},
        use_dict_buffer=images,
        max_action=0.7,
    )
    agent.save_checkpoint(tmp_path / "td3_0.pth")
    model = tmp_path / "made" / "actor.onnx"
    assert run("export", tmp_path / "td3_0.pth", "--onnx", model) == 0
    assert "largest difference to torch" in capsys.readouterr().out
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model)
    rng = np.random.default_rng(0)
    for _ in range(10):
        vector = rng.normal(size=5).astype(np.float32)
        observation: dict[str, np.ndarray] = {"vector": vector}
        if images:
            observation["image"] = rng.integers(0, 256, (4, 36, 36), dtype=np.uint8)
        (action,) = session.run(None, {name: value[None] for name, value in observation.items()})
        expected = agent.select_action(observation if images else vector)
        assert np.abs(action[0] - expected).max() < LARGEST_DIFFERENCE
    card = (tmp_path / "made" / "actor.onnx.md").read_text()
    assert f"A deterministic {name.upper()} actor" in card
    assert "`action`: (1, 2) float32 in [-0.7, 0.7]" in card
    assert ("`image`: (1, 4, 36, 36) uint8" in card) == images
    assert "does not say what its numbers mean" in card


def test_export_of_the_default_sizes(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    told = {"vector": ["speed in m/s / 30", *["nothing"] * 22], "driving.safety.max_steer": 0.5}
    TD3Agent().save_checkpoint(tmp_path / "td3_0.pth", {"meaning": told})
    assert run("export", tmp_path / "td3_0.pth", "--onnx", tmp_path / "actor.onnx") == 0
    onnxruntime = pytest.importorskip("onnxruntime")
    inputs = {
        item.name: item
        for item in onnxruntime.InferenceSession(tmp_path / "actor.onnx").get_inputs()
    }
    assert inputs["image"].shape == [1, 4, 84, 84]
    assert inputs["image"].type == "tensor(uint8)"
    assert inputs["vector"].shape == [1, 23]
    card = (tmp_path / "actor.onnx.md").read_text()
    assert "| vector[0] | speed in m/s / 30 |" in card
    assert "| driving.safety.max_steer | 0.5 |" in card


def test_export_that_cannot_be_written(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    (saved.parent / "file").touch()
    kept = saved.read_bytes()
    assert "expected the name of an .onnx" in failure(capsys, "export", saved, "--onnx", saved)
    assert saved.read_bytes() == kept
    text = failure(capsys, "export", saved, "--onnx", saved.parent / "file" / "actor.onnx")
    assert "cannot be written" in text
