# SPDX-License-Identifier: Apache-2.0
"""Sending to a process that does not read: never waited for, nothing out of order, bounded."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_agent import ACTION, SMALL, VECTOR, fill

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.policy import ActorPolicy
from td3_driver.learner.client import LearnerClient
from td3_driver.learner.messages import Event, Loaded, Log, Refused, Save, Saved, Trained
from td3_driver.learner.outbox import BACKLOG_BYTES, Outbox
from td3_driver.learner.process import LearnerSpec
from td3_driver.learner.reach import Reach
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.weights import SharedWeights

AT_ONCE_S = 60.0  # a busy machine takes its time; a pipe that nobody reads takes for ever


def test_what_was_taken_arrives_whole_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    outbox = Outbox(ours)
    draw = random.Random(1)
    sent, got = bytearray(), bytearray()

    def read(count: int) -> None:
        while len(got) < count:
            got.extend(theirs.recv(draw.choice((1, 100, 100_000))))

    for _ in range(3):  # a reader who sleeps, and then catches up
        refused = False
        while not refused:
            data = draw.randbytes(draw.choice((1, 50, 3_000, 300_000)))
            began_s = time.monotonic()
            taken = outbox.put(data)
            assert time.monotonic() - began_s < AT_ONCE_S
            sent += data if taken else b""
            refused = not taken
        assert len(sent) - len(got) < 2 * BACKLOG_BYTES
        reader = threading.Thread(target=read, args=(len(sent),))
        reader.start()
        reader.join(240.0)
        assert got == sent
    assert outbox.put(b"and on")


def test_nobody_is_told_anything_once_the_reader_is_gone() -> None:
    ours, theirs = socket.socketpair()
    outbox = Outbox(ours)
    while outbox.put(bytes(100_000)):
        pass
    theirs.close()
    end_s = time.monotonic() + AT_ONCE_S
    while outbox.put(b"x") and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not outbox.put(b"x")


class Told:
    """A real learner process and what it says."""

    def __init__(self, folder: Path) -> None:
        config = AgentConfig(**SMALL)
        state_dim = config.cnn_features + VECTOR
        weights = SharedWeights(ActorPolicy(state_dim, ACTION, 1.0, True, config).parameter_count)
        spec = LearnerSpec(
            RunSettings(config), state_dim, ACTION, "cpu", seed=0, threads=1, log_dir=None,
            keep_last=0, keep_every=0, replay=fill(), weights=weights, reach=Reach(folder), run="",
        )  # fmt: skip
        self.client = LearnerClient(spec, lambda: None)
        self.events: list[Event] = []

    def wait(self, count: int) -> None:
        end_s = time.monotonic() + 120.0
        while len(self.events) < count:
            assert time.monotonic() < end_s, self.events
            if (event := self.client.poll()) is None:
                time.sleep(0.01)
            else:
                self.events.append(event)


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path)
    yield told
    told.client.stop(within_s=0.0)


def test_a_learner_that_hangs_blocks_nobody_and_goes_on_where_it_was(
    learner: Told, tmp_path: Path
) -> None:
    learner.wait(1)
    assert isinstance(learner.events[0], Loaded)
    client, pid = learner.client, learner.client.pid
    assert pid is not None
    answers: list[Event] = []
    os.kill(pid, signal.SIGSTOP)
    client.ask(Save(tmp_path / "td3_1.pth", 1, 0, {}), answers.append)
    histograms = {"action/steer": np.zeros(1000, np.float32)}
    for number in range(2000):
        began_s = time.monotonic()
        if number % 100 == 0:
            client.train(1, None)
        else:
            client.log(Log(number, {"episode/return": 1.0}, histograms))
        assert time.monotonic() - began_s < AT_ONCE_S
    accepted = client.outstanding
    assert accepted > 0
    assert client.unsaid > 1000
    client.hang("it sleeps")
    assert answers == [Refused("it sleeps")]
    client.ask(Save(tmp_path / "td3_2.pth", 2, 0, {}), answers.append)
    assert answers == [Refused("it sleeps")] * 2
    assert client.idle
    os.kill(pid, signal.SIGCONT)
    learner.wait(2 + accepted)  # the file's answer, too, which nobody waits for any more
    assert [event.env_steps for event in learner.events if isinstance(event, Saved)] == [1]
    updates = [event.total_it for event in learner.events if isinstance(event, Trained)]
    assert updates == list(range(1, accepted + 1))
    assert client.reachable
    assert (client.outstanding, client.total_it) == (0, accepted)
    assert len(answers) == 2
    client.train(1, None)
    learner.wait(3 + accepted)


def test_a_request_of_any_size_can_be_made(learner: Told, tmp_path: Path) -> None:
    learner.wait(1)
    run = {"actions": [[0.1, 0.2]] * 200_000}
    answers: list[Event] = []
    began_s = time.monotonic()
    learner.client.ask(Save(tmp_path / "td3_1.pth", 1, 0, run), answers.append)
    assert time.monotonic() - began_s < AT_ONCE_S
    learner.wait(2)
    assert answers == [Saved(tmp_path / "td3_1.pth", 1)]
    assert (tmp_path / "td3_1.pth").is_file()


def test_who_waits_for_a_learner_that_is_lost_hears_it(learner: Told, tmp_path: Path) -> None:
    learner.wait(1)
    client, pid = learner.client, learner.client.pid
    assert pid is not None
    answers: list[Event] = []
    os.kill(pid, signal.SIGSTOP)
    client.train(1, None)
    for number in (1, 2):
        client.ask(Save(tmp_path / f"td3_{number}.pth", number, 0, {}), answers.append)
    os.kill(pid, signal.SIGKILL)
    learner.wait(2)
    (lost,) = answers[:1]
    assert isinstance(lost, Refused)
    assert "signal 9" in lost.reason
    assert answers == [lost, lost]
    assert not client.reachable
    assert client.idle
    client.ask(Save(tmp_path / "td3_3.pth", 3, 0, {}), answers.append)
    assert answers == [lost] * 3
