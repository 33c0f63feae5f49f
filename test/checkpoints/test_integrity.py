# SPDX-License-Identifier: Apache-2.0
"""A damaged file is never taken for a sound one, and a failed write harms nothing."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from small_agent import SMALL

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.checkpoints import checkpoint, durable_file


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_torch_and_zip_read_the_file_as_it_stands(saved: Path) -> None:
    assert torch.load(saved, weights_only=True)["env_steps"] == 40
    assert torch.load(saved, weights_only=True, mmap=True)["env_steps"] == 40
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None


def test_the_hash_can_be_checked_with_other_tools(saved: Path) -> None:
    whole = saved.read_bytes()
    comment = zipfile.ZipFile(saved).comment
    assert comment == f"td3_driver sha256 {hashlib.sha256(whole[:-82]).hexdigest()}".encode()
    assert whole.endswith(comment)
    assert len(comment) == 82


def test_a_flipped_byte_anywhere_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    rng = random.Random(0)
    # Every byte of both ends, where the archive's structure lies, and many between.
    positions = [*range(400), *range(len(whole) - 400, len(whole))]
    positions += [rng.randrange(len(whole)) for _ in range(400)]
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randrange(8)
        saved.write_bytes(flipped)
        refusal(saved)
    saved.write_bytes(whole)
    checkpoint.read(saved)


def test_a_cut_at_any_length_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    rng = random.Random(1)
    ends = [*range(200), *range(len(whole) - 200, len(whole))]
    for length in [*ends, *(rng.randrange(len(whole)) for _ in range(200))]:
        saved.write_bytes(whole[:length])
        refusal(saved)


def test_bytes_added_at_the_end_are_noticed(saved: Path) -> None:
    with saved.open("ab") as file:
        file.write(b"x")
    refusal(saved)


def test_a_file_of_today_without_its_hash_is_refused(saved: Path) -> None:
    torch.save(torch.load(saved, weights_only=True), saved)
    assert "SHA-256 at its end is missing" in refusal(saved)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)


def as_version_1(path: Path) -> None:
    payload = torch.load(path, weights_only=True)
    del payload["replay"]
    torch.save({**payload, "format_version": 1}, path)


def test_version_1_is_migrated_and_resumes(saved: Path, trained: TD3Agent) -> None:
    as_version_1(saved)
    payload = checkpoint.read(saved)
    assert payload["format_version"] == checkpoint.FORMAT_VERSION == 2
    assert payload["replay"] is None
    agent = TD3Agent.from_checkpoint(saved)
    assert torch.equal(agent.actor_cnn.fc.weight, trained.actor_cnn.fc.weight)
    agent.save_checkpoint(saved)
    assert torch.load(saved, weights_only=True)["format_version"] == 2


def test_damage_in_a_version_1_file_is_noticed_by_the_archive(saved: Path) -> None:
    as_version_1(saved)
    whole = bytearray(saved.read_bytes())
    weights = trained_bytes(saved)
    whole[whole.index(weights)] ^= 1
    saved.write_bytes(whole)
    assert "checksum" in refusal(saved)


def trained_bytes(path: Path) -> bytes:
    weight = torch.load(path, weights_only=True)["actor_state_dict"]["layers.2.weight"]
    return weight.numpy().tobytes()


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (3, "format_version is 3, this version of td3_driver reads up to 2"),
        (0, "format_version is 0, not a whole number"),
        ("2", "format_version is '2', not a whole number"),
        (None, "has no format_version, another program wrote it"),
    ],
)
def test_other_format_versions_are_refused(saved: Path, version: object, reason: str) -> None:
    checkpoint.write(saved, {**checkpoint.read(saved), "format_version": version})
    assert reason in refusal(saved)


def test_what_a_killed_process_left_is_removed_by_the_next_write(saved: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname().replace(".", "-")
    dead = saved.with_name(f".td3_1.pth.{host}.{ended.pid}.00c0ffee.tmp")
    alive = saved.with_name(f".td3_2.pth.{host}.{os.getppid()}.00c0ffee.tmp")
    elsewhere = saved.with_name(f".td3_3.pth.other-host.{ended.pid}.00c0ffee.tmp")
    foreign = saved.with_name(".something.tmp")
    for path in (dead, alive, elsewhere, foreign):
        path.touch()
    TD3Agent(21, config=SMALL).save_checkpoint(saved)
    assert not dead.exists()
    assert all(path.exists() for path in (alive, elsewhere, foreign))


def test_temporary_names_are_recognised(tmp_path: Path) -> None:
    seen: list[str] = []

    def fill(_: object) -> None:
        seen.extend(path.name for path in tmp_path.iterdir())

    durable_file.replace(tmp_path / "td3_7.pth", fill)
    assert len(seen) == 1
    named = durable_file._TEMPORARY.fullmatch(seen[0])
    assert named
    assert int(named["pid"]) == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == ["td3_7.pth"]
