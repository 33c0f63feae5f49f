# SPDX-License-Identifier: Apache-2.0
"""Tensors that are used again and again: staged batches, frames on a device, CUDA graphs."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import Replay, TD3Agent, cuda
from td3_driver.agent.cuda import DeviceFrames, DeviceStaging, Parcel, recorded
from td3_driver.agent.networks import to_pixels
from td3_driver.agent.staging import Staging
from td3_driver.replay.batch import NUMBERS, Batch

CPU = torch.device("cpu")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("size", [1, 32, 33, 70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_are_the_plain_arithmetics(size: int, dtype: torch.dtype) -> None:
    image = torch.randint(0, 256, (size, 4, 9, 7), dtype=torch.uint8)
    pixels = to_pixels(image, dtype)
    assert torch.equal(pixels, image.to(dtype).div_(127.5).sub_(1.0))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_batches_of_one_shape_share_their_tensors(make_batch: Callable[..., Batch]) -> None:
    staging, generator = Staging(), torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    first = staging.fill(make_batch(rng), torch.float32, 0, generator)
    batch = make_batch(rng)
    second = staging.fill(batch, torch.float32, 0, generator)
    assert second is first
    expected = torch.from_numpy(batch.next_images).float().div(127.5).sub(1.0)
    assert torch.equal(second.next_images, expected)
    assert torch.equal(second.returns, torch.from_numpy(batch.returns))
    assert staging.fill(make_batch(rng, 5), torch.float32, 0, generator) is not first
    assert staging.fill(make_batch(rng, 5), torch.float64, 0, generator).noise.dtype == (
        torch.float64
    )


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shift", [0, 3])
def test_a_device_s_batches_are_the_cpus(
    device: str, dtype: torch.dtype, shift: int, make_batch: Callable[..., Batch]
) -> None:
    """Also while it is recorded, and after a batch of another size."""
    here, there = Staging(), DeviceStaging(torch.device(device))
    ours, theirs = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    rng = np.random.default_rng(0)
    for size in (*[8] * 6, 5, 8):
        batch = make_batch(rng, size)
        one = here.fill(batch, dtype, shift, ours)
        other = there.fill(batch, dtype, shift, theirs)
        for name in ("images", "next_images", *NUMBERS, "noise"):
            expected, found = getattr(one, name), getattr(other, name).cpu()
            assert torch.allclose(found, expected, rtol=0.0, atol=2e-7), name


def test_a_device_s_batches_without_images() -> None:
    replay = Replay(16, None, 3, 2)
    replay.begin(None, np.zeros(3, np.float32))
    for reward in range(6):
        replay.add(np.ones(2, np.float32), reward, None, np.ones(3, np.float32), False, False)
    batch = replay.sample(4, np.random.default_rng(0))
    here, there = Staging(), DeviceStaging(CPU)
    one = here.fill(batch, torch.float32, 4, torch.Generator().manual_seed(3))
    other = there.fill(batch, torch.float32, 4, torch.Generator().manual_seed(3))
    assert other.images is None
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in NUMBERS)
    assert torch.equal(one.noise, other.noise)


@NEEDS_CUDA
def test_what_was_sent_is_not_overwritten_by_the_next() -> None:
    """The device is kept busy, so that the copies queue up behind its work."""
    parcel = Parcel({"number": ((1000,), np.int64)}, torch.device("cuda"))
    heavy = torch.ones((4096, 4096), device="cuda")
    found = []
    for number in range(5):
        for _ in range(20):
            heavy = heavy @ heavy * 1e-4
        parcel.open()["number"][...] = number
        found.append(parcel.send()["number"].clone())
    assert [set(numbers.tolist()) for numbers in found] == [{number} for number in range(5)]


def test_frames_kept_on_a_device_give_the_same_batches(small: dict[str, Any]) -> None:
    """Across three rounds of the ring, with pieces that end at its edge and some beyond it."""
    replay = Replay(64, (4, 6, 6), 1, 1)
    frames = DeviceFrames(replay, CPU)
    rng = np.random.default_rng(0)

    def frame() -> np.ndarray:
        return rng.integers(0, 256, (6, 6), dtype=np.uint8)

    one = np.zeros(1, np.float32)
    replay.begin(frame(), one)
    for count in (20, 43, 1, 30, 70, 7):
        for _ in range(count):
            end = rng.random() < 0.1
            replay.add(one, 0.0, frame(), one, bool(end), False)
            if end:
                replay.begin(frame(), one)
        there = replay.sample(50, np.random.default_rng(1), 3, frames=frames)
        here = replay.sample(50, np.random.default_rng(1), 3)
        assert isinstance(there.images, torch.Tensor)
        assert np.array_equal(there.images.numpy(), here.images)
        assert np.array_equal(there.next_images.numpy(), here.next_images)


def test_a_step_on_the_cpu_is_not_recorded() -> None:
    """Nor are its optimizers' steps to be, whichever device their checkpoint is from."""
    optimizer = torch.optim.Adam([torch.zeros(1)], capturable=True)

    def step(data: object) -> dict[str, torch.Tensor]:
        return {}

    assert recorded(step, CPU, [optimizer, None]) is step
    assert not optimizer.param_groups[0]["capturable"]


@NEEDS_CUDA
def test_recorded_updates_are_the_cpus(
    small: dict[str, Any], make_batch: Callable[..., Batch]
) -> None:
    """In float64, through warm-up, recording, replaying, and a restored checkpoint."""
    agents = [TD3Agent(21, config=small, device=device) for device in ("cpu", "cuda")]
    for agent in agents:
        for name in ("actor", "critic", "actor_cnn", "critic_cnn"):
            getattr(agent, name).double()
            getattr(agent, f"{name}_target").double()
    rng = np.random.default_rng(0)
    for update in range(40):
        batch = make_batch(rng)
        one, other = (agent.update(batch) for agent in agents)
        assert one == pytest.approx(other, rel=1e-6)
        if update == 20:
            agents[1].restore(agents[1].checkpoint_payload())


@NEEDS_CUDA
def test_training_from_frames_on_the_gpu(
    small: dict[str, Any], filled: Callable[..., Replay]
) -> None:
    agents = [TD3Agent(21, config=small, device=device) for device in ("cpu", "cuda")]
    replay = filled()
    for _ in range(10):
        one, other = (agent.train(replay, 8) for agent in agents)
        assert one == pytest.approx(other, rel=1e-2, abs=1e-3)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_an_agent_on_the_second_gpu_works_there_alone(
    small: dict[str, Any], filled: Callable[..., Replay]
) -> None:
    """Its streams, graphs and copies too, while the process's own device is the first one."""
    agents = [TD3Agent(21, config=small, device=device) for device in ("cpu", "cuda:1", "cuda:0")]
    replay = filled()
    torch.cuda.synchronize(0)
    assert torch.cuda.current_device() == 0
    for _ in range(10):
        one, *others = (agent.train(replay, 8) for agent in agents)
        for other in others:
            assert one == pytest.approx(other, rel=1e-2, abs=1e-3)
        assert torch.cuda.current_device() == 0
    for network in (agents[1].actor, agents[1].critic):
        assert {str(weights.device) for weights in network.parameters()} == {"cuda:1"}


def test_streams_are_always_those_of_a_named_device() -> None:
    """Without an argument they are the current device's, which need not be the agent's."""
    tree = ast.parse(Path(cuda.__file__).read_text())
    asked = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("torch.cuda.current_stream", "torch.cuda.Stream")
    ]
    assert len(asked) > 4
    assert all(node.args for node in asked)
