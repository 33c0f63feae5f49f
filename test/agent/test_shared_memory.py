# SPDX-License-Identifier: Apache-2.0
"""Memory and weights shared between processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest

from td3_driver.agent import TD3Agent
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.policy import ActorPolicy, flatten
from td3_driver.learner.weights import SharedWeights
from td3_driver.replay.shared_memory import SharedBlock

SPAWN = multiprocessing.get_context("spawn")


def test_pages_cost_nothing_before_they_are_written() -> None:
    block = SharedBlock(1 << 40)
    view = block.array((1 << 40) - 8, (1,), np.int64)
    view[0] = 3
    assert block.array((1 << 40) - 8, (1,), np.int64)[0] == 3


def test_a_view_beyond_the_block() -> None:
    with pytest.raises(TypeError):
        SharedBlock(64).array(60, (2,), np.float32)


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_without_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="nbytes"):
        SharedBlock(size)


def test_a_file_already_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        SharedBlock(64, path)
    assert path.read_text() == "precious"


def _hold(block: SharedBlock, pipe: Connection) -> None:
    own = SharedBlock(1 << 20)
    own.array(0, (1 << 20,), np.uint8)[:] = 1
    block.array(0, (1,), np.int64)[0] = 42
    pipe.send("ready")
    time.sleep(600)


def test_nothing_is_left_after_a_kill() -> None:
    before = set(os.listdir("/dev/shm"))
    block = SharedBlock(4096)
    mine, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=_hold, args=(block, theirs))
    child.start()
    assert mine.poll(240)
    during = set(os.listdir("/dev/shm")) - before
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(240)
    assert child.exitcode == -signal.SIGKILL
    assert block.array(0, (1,), np.int64)[0] == 42
    mapped = Path(f"/proc/{os.getpid()}/maps").read_text()
    assert "memfd:td3_driver" in mapped  # ours, alive with us
    # Other programs may come and go; nothing that appeared may be named after us.
    left = (set(os.listdir("/dev/shm")) - before) | during
    assert not [name for name in left if "td3" in name]


COUNT = 100_000
READS = 50


def _publish_until(weights: SharedWeights, over: Event) -> None:
    while not over.is_set():
        value = weights.version + 1
        assert weights.publish(np.full(COUNT, value, np.float32)) == value
        time.sleep(0.0002)


def test_a_reader_never_sees_torn_weights() -> None:
    weights = SharedWeights(COUNT)
    over = SPAWN.Event()
    writer = SPAWN.Process(target=_publish_until, args=(weights, over), daemon=True)
    writer.start()
    last = reads = 0
    while reads < READS:
        answer = weights.read(last)
        if answer is None:
            assert writer.is_alive()
            continue
        version, values = answer
        assert version > last
        assert values[0] == version
        assert (values == values[0]).all()
        last, reads = version, reads + 1
    over.set()
    writer.join(240)
    assert writer.exitcode == 0
    final = weights.read(last)
    assert last == weights.version or (final is not None and final[0] == weights.version)


def test_weights_that_are_written_over_while_they_are_read_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the test above that hardly ever happens: who reads would have to stand still."""
    weights = SharedWeights(3)
    weights.publish(np.full(3, 1.0, np.float32))
    fence = "td3_driver.learner.weights.fence"

    def meanwhile() -> None:
        monkeypatch.setattr(fence, lambda: None)
        for value in (2.0, 3.0):  # the second lies where the first did
            weights.publish(np.full(3, value, np.float32))

    monkeypatch.setattr(fence, meanwhile)
    answer = weights.read(0)
    assert answer is not None
    assert (answer[0], answer[1].tolist()) == (3, [3.0, 3.0, 3.0])


def test_weights_are_read_once() -> None:
    weights = SharedWeights(3)
    assert weights.read(0) is None
    assert weights.publish(np.arange(3, dtype=np.float32)) == 1
    answer = weights.read(0)
    assert answer is not None
    assert answer[0] == 1
    assert answer[1].tolist() == [0.0, 1.0, 2.0]
    assert weights.read(1) is None
    with pytest.raises(ValueError, match=r"shape \(4,\) is not \(3,\)"):
        weights.publish(np.zeros(4, np.float32))


@pytest.mark.parametrize("images", [True, False])
def test_a_policy_acts_as_its_agent(small: dict[str, object], images: bool) -> None:
    config = AgentConfig.from_mapping({**small, "trunk": "layernorm_tanh"})
    agent = TD3Agent(21, 2, 1.0, use_dict_buffer=images, config=config, seed=5)
    policy = ActorPolicy(21, 2, 1.0, images, config)
    weights = SharedWeights(policy.parameter_count)
    weights.publish(flatten(agent))
    answer = weights.read(0)
    assert answer is not None
    policy.load_flat(answer[1])
    rng = np.random.default_rng(0)
    observation: object = rng.normal(size=21).astype(np.float32)
    if images:
        image = rng.integers(0, 256, (4, 36, 36), dtype=np.uint8)
        observation = {"image": image, "vector": np.ones(5, np.float32)}
    assert np.array_equal(policy.act(observation), agent.select_action(observation))
    with pytest.raises(ValueError, match="values: shape"):
        policy.load_flat(np.zeros(3, np.float32))
