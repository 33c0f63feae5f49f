# SPDX-License-Identifier: Apache-2.0
"""What operators and accidents do to a run: services, signals, killed processes."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.agent import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration

from .running import Node, Observer, RunningTrain, alive, learner_of, tree, wait_until


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunningTrain]:
    options = getattr(request, "param", ("--steps", "100000"))
    running = RunningTrain(tmp_path / "checkpoints", *options)
    try:
        yield running
    finally:
        running.kill_everything()


@pytest.fixture
def observer() -> Iterator[Observer]:
    client = Observer()
    try:
        yield client
    finally:
        client.close()


def started(run: RunningTrain) -> dict[str, int]:
    """Wait until it drives and learns; its processes."""
    run.wait_for("at step 250")
    processes = run.descendants()
    assert set(processes) - {"evaluator"} == {"world", "driver", "learner"}
    return processes


def assert_nothing_left(pids: list[int]) -> None:
    wait_until(lambda: not any(alive(pid) for pid in pids), what=lambda: f"ends of {pids}")


def test_services_answer_while_every_frame_gets_one_command(
    run: RunningTrain, observer: Observer
) -> None:
    started(run)
    observer.spin(lambda: len(observer.commands) > 50)
    for _ in range(3):
        response = observer.call("/save_checkpoint")
        assert response.success, response.message
        path, step = re.fullmatch(r"(/.*\.pth) step (\d+)", response.message).groups()
        assert checkpoint.read(path)["env_steps"] == int(step)
        response = observer.call("/load_checkpoint")
        assert response.success, response.message
        assert response.message.endswith("; settings as saved")
        seen = len(observer.frames)
        observer.spin(lambda seen=seen: len(observer.frames) > seen + 30)
    # Two at once are served one after the other.
    names = [observer.ask("/save_checkpoint") for _ in range(2)]
    observer.spin(lambda: all(name.done() for name in names))
    assert all(name.result().success for name in names)
    # The last frame may still be unanswered, the first ones from before we listened; and what is
    # said of the same frame on two topics is not heard at once.
    first, last = max(observer.frames[0], observer.commands[0]), observer.commands[-1]
    observer.spin(lambda: observer.frames[-1] >= last)
    frames = [stamp for stamp in observer.frames if first <= stamp <= last]
    commands = Counter(stamp for stamp in observer.commands if first <= stamp <= last)
    assert frames == sorted(set(frames))
    assert commands == Counter(frames)
    steps = {round((b - a) / 1e6) for a, b in itertools.pairwise(frames)}
    assert steps == {50}
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0
    assert re.search(r"frames, \d+ commands, 0 unexpected", run.output), run.output


@pytest.mark.parametrize("run", [("--steps", "100000", "--save-freq", "100000")], indirect=True)
def test_a_refused_load_changes_nothing(run: RunningTrain, observer: Observer) -> None:
    run.wait_for("latest.pth at step 0")
    assert observer.call("/load_checkpoint").success
    world = run.descendants()["world"]
    os.kill(world, signal.SIGSTOP)  # so that no step is a reason to save
    assert observer.call("/save_checkpoint").success  # after whatever was to be saved before
    for path in run.folder.glob("*.pth"):
        path.unlink()
    response = observer.call("/load_checkpoint")
    assert not response.success
    assert "no valid checkpoint" in response.message
    (run.folder / "td3_9.pth").write_bytes(b"not a checkpoint")
    response = observer.call("/load_checkpoint")
    assert not response.success
    os.kill(world, signal.SIGCONT)
    seen = len(observer.commands)
    observer.spin(lambda: len(observer.commands) > seen + 100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_cleanly(run: RunningTrain, number: signal.Signals) -> None:
    """Ctrl-C reaches the command alone; systemd asks every process, and here it does so twice."""
    started(run)
    pids = tree(run.process.pid)
    run.process.send_signal(number)
    for pid in [*pids, *pids] if number == signal.SIGTERM else []:
        os.kill(pid, number)
    assert run.wait() == 0, run.output
    assert "Traceback" not in run.output
    assert "lost" not in run.output
    steps = checkpoint.read(run.folder / "latest.pth")["env_steps"]
    assert steps >= 250
    assert re.search(rf"steps +{steps}\n", run.output), run.output
    assert_nothing_left(pids)


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("world", "the world is lost (exit code -9)"),
        ("learner", "the learner process ended (signal 9)"),
    ],
)
def test_a_lost_process_ends_the_run(run: RunningTrain, victim: str, message: str) -> None:
    """Because it has ended, not because nothing was heard of it for long."""
    processes = started(run)
    pids = tree(run.process.pid)
    os.kill(processes[victim], signal.SIGKILL)
    assert run.wait() == 1
    assert message in run.output
    assert "Traceback" not in run.output
    assert checkpoint.read(run.folder / "latest.pth")["env_steps"] >= 250
    assert_nothing_left(pids)


def test_a_world_that_stands_for_seconds_is_not_lost(run: RunningTrain) -> None:
    """As on a machine that is too busy: a driver of its own would give it up after 2 s."""
    processes = started(run)
    os.kill(processes["world"], signal.SIGSTOP)
    stopped_s = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped_s > 4.0 or not alive(processes["driver"]))
    os.kill(processes["world"], signal.SIGCONT)
    run.wait_for("at step 500")
    assert "lost" not in run.output


@pytest.mark.parametrize("victim", ["cli", "driver"])
def test_killing_the_head_leaves_no_orphan(run: RunningTrain, victim: str) -> None:
    processes = started(run)
    pids = tree(run.process.pid)
    shared = set(os.listdir("/dev/shm"))
    os.kill(run.process.pid if victim == "cli" else processes["driver"], signal.SIGKILL)
    assert run.wait() != 0
    assert ("driver killed by SIGKILL: " in run.output) == (victim == "driver")
    assert_nothing_left(pids)
    assert not {name for name in shared & set(os.listdir("/dev/shm")) if "td3" in name}


def test_a_driver_that_was_told_to_waits_for_the_world_to_come_back(tmp_path: Path) -> None:
    world = Node("bridge_twin.world_node")
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "on_loss:=wait", "save_freq:=100"
    )
    try:
        driver.wait_for("at step 100")
        world.kill()
        driver.wait_for("braking and waiting")
        assert driver.process.poll() is None
        steps = checkpoint.read(tmp_path / "latest.pth")["env_steps"]
        world = Node("bridge_twin.world_node")
        driver.wait_for(f"at step {steps + 100}")
    finally:
        world.kill()
        code = driver.stop()
    assert code == 0
    assert not any("Traceback" in line for line in driver.lines)


def test_without_its_learner_a_waiting_driver_brakes_and_refuses(
    observer: Observer, tmp_path: Path
) -> None:
    world = Node("bridge_twin.world_node")
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "on_loss:=wait", "save_freq:=100"
    )
    try:
        driver.wait_for("at step 100")
        os.kill(learner_of(driver), signal.SIGKILL)
        driver.wait_for("braking and waiting")
        response = observer.call("/save_checkpoint")
        assert not response.success
        assert "the learner process ended" in response.message
        seen = len(observer.commands)
        observer.spin(lambda: len(observer.commands) > seen + 20)
        assert driver.process.poll() is None
    finally:
        driver.kill()
        world.kill()


def test_evaluate_mode_drives_a_checkpoint_and_changes_nothing(tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text("driving: {episode: {max_steps: 100}}\n")
    settings = load_configuration("default", short)
    file = tmp_path / "given" / "td3_0.pth"
    state_dim = settings.agent.cnn_features + settings.driving.spaces.vector_dim
    agent = TD3Agent(state_dim, config=settings.agent)
    agent.save_checkpoint(file, {"settings": settings.to_mapping()})
    before = file.read_bytes()
    world = Node("bridge_twin.world_node", "seed:=7")
    driver = Node(
        "ros.driver.node",
        "mode:=evaluate", f"resume:={file}", "episodes:=2", f"checkpoint_dir:={tmp_path}/run",
        f"config_file:={short}",
    )  # fmt: skip
    try:
        assert driver.wait() == 0, driver.lines
    finally:
        driver.kill()
        world.kill()
    assert "the run is complete" in driver.output
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("run/*.pth"))


def test_refused_parameters_say_why(tmp_path: Path) -> None:
    for parameter, reason in (
        ("stepping:=fast", "'fast' is not one of lockstep, realtime"),
        ("steps:=-1", "steps"),
        ("mode:=evaluate", "needs the checkpoint to drive"),
        ("routes:=gone.xml", "routes gone.xml: no such file"),
        ("camera:='no name'", "use letters, digits and _ only"),
    ):
        node = Node("ros.driver.node", f"checkpoint_dir:={tmp_path}", parameter)
        assert node.wait() == 1
        assert len(node.lines) == 1
        assert reason in node.lines[0]


def test_training_goes_on_when_its_folder_is_taken_away(run: RunningTrain) -> None:
    """Saves fail with a line each while something is in the way, and work again afterwards."""
    started(run)
    away = itertools.count()

    def taken_away() -> bool:
        """What is saved at that moment makes it anew."""
        run.folder.rename(run.folder.with_name(f"away_{next(away)}"))
        try:
            run.folder.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    wait_until(taken_away)
    run.wait_for("cannot be written")
    run.folder.unlink()
    lines = len(run.lines)
    run.wait_for("latest.pth at step", after=lines)
    assert "Traceback" not in run.output
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0
    assert checkpoint.read(run.folder / "latest.pth")["env_steps"] > 250
