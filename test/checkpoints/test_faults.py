# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, folders that are not there or not ours: one line, and training goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz_kill import fuzz
from small_agent import SMALL, fill

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.inspection import verify
from td3_driver.replay import file as replay_file

NOBODY = 65534
EXPERIENCE = fill(50)


def new_agent() -> TD3Agent:
    return TD3Agent(21, config=SMALL)


def weights(agent: TD3Agent) -> list[torch.Tensor]:
    names = ("actor", "critic_cnn_target", "critic")
    return [weight.clone() for name in names for weight in getattr(agent, name).parameters()]


def refused_save(agent: TD3Agent, path: Path) -> str:
    """Save, expect one line, and check that the agent has not changed and goes on learning."""
    before = weights(agent)
    with pytest.raises(CheckpointError) as caught:
        agent.save_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert all(map(torch.equal, before, weights(agent)))
    agent.train(EXPERIENCE, 4)
    return str(caught.value)


def in_child(work: Callable[..., None], *args: Any) -> None:
    """Run in a process of its own, which may limit or demote itself."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=work, args=args)
    process.start()
    process.join(240)
    assert process.exitcode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds two small checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here; see the test with a limit on file sizes")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    agent = new_agent()
    step = 0
    with contextlib.suppress(CheckpointError):
        for step in range(1, 100):
            agent.save_checkpoint(small_disk / f"td3_{step}.pth")
    assert 2 <= step < 10
    assert "No space left on device" in refused_save(agent, small_disk / f"td3_{step}.pth")
    assert "cannot be written" in refused_save(agent, small_disk / "td3_1.pth")
    names = [path.name for path in small_disk.iterdir()]
    assert sorted(names) == [f"td3_{number}.pth" for number in range(1, step)]
    for name in names:
        verify(small_disk / name)
    checkpoint.retain(small_disk, keep_last=1)  # makes room
    agent.save_checkpoint(small_disk / f"td3_{step}.pth")
    verify(small_disk / f"td3_{step}.pth")


def test_a_replay_on_a_full_disk(small_disk: Path) -> None:
    replay = fill(100)
    path = small_disk / "td3_1.replay"
    link = replay_file.save(replay, path, 100, None)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    later = fill(250)
    with pytest.raises(CheckpointError, match=r"td3_2\.replay: cannot be written: .*No space"):
        replay_file.save(later, small_disk / "td3_2.replay", 250, link)
    replay_file.verify(small_disk, link)
    assert path.stat().st_size == link.bytes
    filler.unlink()
    replay_file.verify(small_disk, replay_file.save(later, small_disk / "td3_2.replay", 250, link))


def save_with_a_limit(folder: Path) -> None:
    agent = new_agent()
    agent.save_checkpoint(folder / "td3_1.pth")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    assert "cannot be written" in refused_save(agent, folder / "td3_1.pth")
    assert "cannot be written" in refused_save(agent, folder / "td3_2.pth")


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    """What a full disk is like, where none can be mounted."""
    in_child(save_with_a_limit, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["td3_1.pth"]
    verify(tmp_path / "td3_1.pth")


def save_as_nobody(folder: Path) -> None:
    agent = new_agent()
    if os.geteuid() == 0:  # permissions do not hold for root
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    assert "Permission denied" in refused_save(agent, folder / "td3_2.pth")
    agent.load_checkpoint(folder / "td3_1.pth")
    with pytest.raises(CheckpointError, match=r"latest\.pth: cannot be written"):
        checkpoint.publish_latest(folder / "td3_1.pth")
    with pytest.raises(CheckpointError, match=r"td3_1\.pth: cannot be deleted"):
        checkpoint.retain(folder, keep_last=1)
    with pytest.raises(CheckpointError, match=r"td3_1\.replay: cannot be written"):
        replay_file.save(EXPERIENCE, folder / "td3_1.replay", 50, None)


def test_a_read_only_folder() -> None:
    # Not pytest's folder: others than its owner cannot enter that.
    folder = Path(tempfile.mkdtemp(prefix="td3_read_only_"))
    try:
        new_agent().save_checkpoint(folder / "td3_1.pth")
        shutil.copy(folder / "td3_1.pth", folder / "td3_5.pth")
        os.utime(folder / "td3_1.pth", (1, 1))
        folder.chmod(0o555)
        in_child(save_as_nobody, folder)
        assert {path.name for path in folder.iterdir()} == {"td3_1.pth", "td3_5.pth"}
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "td3_1.pth"
    new_agent().save_checkpoint(path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"td3_1\.pth: cannot be read: .*Permission denied"):
        checkpoint.read(path)


def test_a_folder_deleted_while_running(tmp_path: Path) -> None:
    agent, replay = new_agent(), fill(60)
    path = tmp_path / "run" / "td3_1.pth"
    link = replay_file.save(replay, path.with_suffix(".replay"), 60, None)
    agent.save_checkpoint(path)
    shutil.rmtree(path.parent)
    assert checkpoint.newest(path.parent) is None
    with pytest.raises(CheckpointError, match=r"latest\.pth: cannot be written"):
        checkpoint.publish_latest(path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint file"):
        agent.load_checkpoint(path)
    link = replay_file.save(replay, path.with_suffix(".replay"), 60, link)
    agent.save_checkpoint(path)
    verify(path)
    replay_file.verify(path.parent, link)


def test_a_folder_deleted_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, folder, sync = new_agent(), tmp_path / "run", os.fsync

    def delete(descriptor: int) -> None:
        sync(descriptor)
        shutil.rmtree(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", delete)
        text = refused_save(agent, folder / "td3_1.pth")
    assert "No such file or directory" in text
    agent.save_checkpoint(folder / "td3_1.pth")


def test_a_damaged_or_foreign_file_leaves_the_agent_as_it_was(saved: Path) -> None:
    agent = TD3Agent(21, config=SMALL, seed=5)
    before, whole = weights(agent), saved.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    newer = saved.with_name("newer.pth")
    checkpoint.write(newer, {**checkpoint.read(saved), "format_version": 9})
    for content in (whole[:-5], b"", bytes(flipped), newer.read_bytes()):
        saved.write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            agent.load_checkpoint(saved)
        assert "\n" not in str(caught.value)
        assert all(map(torch.equal, before, weights(agent)))
    agent.train(EXPERIENCE, 4)


def test_another_preset_is_refused_with_every_mismatch(tmp_path: Path) -> None:
    small = new_agent()
    small.save_checkpoint(tmp_path / "td3_1.pth")
    other = TD3Agent(
        40, 3, config={**SMALL, "hidden_sizes": [24], "cnn_features": 32, "critic_layernorm": True}
    )
    before = weights(other)
    with pytest.raises(CheckpointError) as caught:
        other.load_checkpoint(tmp_path / "td3_1.pth")
    text = str(caught.value)
    assert "\n" not in text
    for reason in (
        "state_dim is 21, the agent's is 40",
        "action_dim is 2, the agent's is 3",
        "config cnn_features is 16, the agent's is 32",
        "config hidden_sizes is (24, 24), the agent's is (24,)",
        "config critic_layernorm is False, the agent's is True",
        "actor_cnn_state_dict: fc.weight has shape (16, 72), the agent's is (32, 72)",
        "actor_optimizer_state_dict: is not the state of 4 parameters",
    ):
        assert reason in text
    assert all(map(torch.equal, before, weights(other)))


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """The short form of `make fuzz`."""
    tally = fuzz(tmp_path, kills=12, seed=2)
    assert tally.kills == 12
    assert tally.saves_reported > 0
    assert tally.files_verified > 0
