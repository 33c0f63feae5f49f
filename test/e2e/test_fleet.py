# SPDX-License-Identifier: Apache-2.0
"""`td3_driver fleet` with real processes, really killed: the run goes on, or says why not."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from td3_driver.checkpoints import checkpoint
from td3_driver.ros.train.domains import claim

from .running import Process, wait_until

CONFIG = """
agent:
  conv_layers: [[4, 8, 4], [8, 4, 2]]
  cnn_features: 16
  hidden_sizes: [24, 24]
  batch_size: 8
  learning_starts: 60
  replay_capacity: 4096
"""
# A collector that hangs is to be missed while a test waits.
PROGRAM = """
from td3_driver.fleet.cluster import prepare
prepare({address!r})
import td3_driver.fleet.member as member
member.HUNG_S = 8.0
from td3_driver.cli import main
main()
"""
# Two nodes, each with its own processes; only the head has the driver's.
CLUSTER = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
from ray.cluster_utils import Cluster
head = {"num_cpus": 4, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=4)
print("cluster at", cluster.address, flush=True)
signal.sigwait([signal.SIGTERM])
cluster.shutdown()
"""
SWEEP = """
steps: 40
every: 20
episodes: 1
seeds: [3, 4]
overlays:
  small:
    agent:
      conv_layers: [[4, 8, 4], [8, 4, 2]]
      cnn_features: 16
      hidden_sizes: [24, 24]
      batch_size: 8
      learning_starts: 10
      replay_capacity: 256
    driving: {episode: {max_steps: 30}}
"""
SECONDS = 20.0  # in which all has to end, on a machine that is busy
MARK = "TD3_FLEET_OF_A_TEST"
COLLECTOR, LEARNER = "ray::CollectorActor", "ray::LearnerActor"


class Marked(Process):
    """A command; every process that it starts is known by a mark in its environment."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.mark = secrets.token_hex(8)
        super().__init__(command, {MARK: self.mark, **environment})
        STARTED.append(self)

    def pids(self, named: str = "") -> list[int]:
        """Its processes whose command line has this text."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                ours = wanted in (entry / "environ").read_bytes()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:  # it has ended meanwhile
                continue
            kept = bool(named) and "fleet.keeper" in line  # it has its command's words
            if ours and named in line and not kept and state != "Z":
                found.append(int(entry.name))
        return found

    def end_of_all(self) -> None:
        """Wait until no process is left."""
        wait_until(lambda: not self.pids(), what=lambda: f"the ends of {self.pids()}")


class Fleet(Marked):
    """`td3_driver fleet` with two small worlds.

    Args:
        folder: for its settings and its run.
        options: of the command.
        address: of a cluster.
        environment: what that wants.
    """

    def __init__(
        self, folder: Path, *options: str, address: str | None = None, **environment: str
    ) -> None:
        (folder / "small.yaml").write_text(CONFIG)
        self.folder = folder / "run"
        common = [
            "fleet", "--worlds", "2", "--config", str(folder / "small.yaml"),
            "--checkpoint-dir", str(self.folder),
        ]  # fmt: skip
        if address is not None:
            common += ["--address", address]
        program = PROGRAM.format(address=address)
        super().__init__(
            [sys.executable, "-c", program, *common, *options], TMPDIR=str(folder), **environment
        )

    def learns_on(self) -> None:
        """Wait for the next checkpoint."""
        known = set(self.folder.glob("td3_*.pth"))
        wait_until(
            lambda: (
                not known.issuperset(self.folder.glob("td3_*.pth"))
                or self.process.poll() is not None
            ),
            what=lambda: f"a checkpoint: {self.output[-2000:]}",
        )
        assert self.process.poll() is None, self.output


class TwoNodes(Marked):
    """A Ray cluster of two raylets, whose token its users need."""

    def __init__(self, folder: Path) -> None:
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder)}
        super().__init__([sys.executable, "-c", CLUSTER], **own, **self.token)
        self.wait_for("cluster at")
        (line,) = (line for line in self.lines if line.startswith("cluster at"))
        self.address = line.split()[-1]

    def raylet(self) -> int:
        """The raylet of the node that is not the head."""
        (pid,) = (pid for pid in self.pids("raylet/raylet") if "--head" not in words(pid))
        return pid


def words(pid: int) -> str:
    """A process' command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


STARTED: list[Marked] = []


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: it holds sockets. What a failed test leaves is killed."""
    path = Path("/tmp") / f"fleet_{secrets.token_hex(4)}"
    path.mkdir()
    yield path
    for fleet in STARTED:
        for pid in fleet.pids():
            os.kill(pid, signal.SIGKILL)
    STARTED.clear()
    assert not list(path.glob("td3_fleet_*")), "Ray's folder is left"


def shared() -> set[str]:
    """What is in shared memory, but for DDS."""
    return {name for name in os.listdir("/dev/shm") if "fastrtps" not in name}


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_it_learns_saves_and_leaves_nothing(folder: Path) -> None:
    before = shared()
    fleet = Fleet(folder, "--steps", "700", "--save-freq", "300", "--save-replay")
    assert fleet.wait() == 0, fleet.output
    newest = checkpoint.newest(fleet.folder)
    assert newest is not None
    payload = checkpoint.read(newest)
    assert payload["env_steps"] >= 700, fleet.output
    assert list(fleet.folder.glob("td3_*.replay"))
    assert (fleet.folder / "best.pth").exists(), fleet.output
    log = (fleet.folder / "log.txt").read_text()
    assert "weight age (updates)" in log
    assert "Traceback" not in fleet.output + log
    fleet.end_of_all()
    assert shared() <= before | {"lttng-ust-wait-6", "lttng-ust-wait-6-0"}


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_whatever_is_killed_or_hangs_the_run_goes_on_and_ctrl_c_saves_it(folder: Path) -> None:
    fleet = Fleet(folder, "--steps", "1000000", "--save-freq", "200")
    fleet.learns_on()
    first = min(fleet.pids(COLLECTOR))
    os.kill(first, signal.SIGKILL)
    fleet.wait_for("restarted, its process ended; its open episode is truncated")
    wait_until(lambda: len(fleet.pids(COLLECTOR)) == 2, what=lambda: "another collector")
    known = len(fleet.lines)
    os.kill(fleet.pids(LEARNER)[0], signal.SIGKILL)
    fleet.wait_for("learner lost", after=known)
    assert re.search(r"goes on with (td3_\d+|latest)\.pth", fleet.output)
    wait_until(lambda: len(fleet.pids(LEARNER)) == 1, what=lambda: "another learner")
    # A collector that says nothing any more.
    known = len(fleet.lines)
    fleet.wait_for("steps/s", after=known + 5)
    os.kill(min(fleet.pids(COLLECTOR)), signal.SIGSTOP)
    fleet.wait_for("restarted, nothing heard for 8 s", after=known)
    fleet.learns_on()
    began_s = time.monotonic()
    os.killpg(fleet.process.pid, signal.SIGINT)  # as a shell does
    assert fleet.wait() == 0, fleet.output
    fleet.end_of_all()
    assert time.monotonic() - began_s < SECONDS
    assert "environment steps" in fleet.output
    newest = checkpoint.newest(fleet.folder)
    assert newest is not None
    assert newest.stat().st_mtime > time.time() - SECONDS
    assert "Traceback" not in fleet.output


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_a_lost_head_ends_everything_and_the_run_is_gone_on_with(folder: Path) -> None:
    fleet = Fleet(folder, "--steps", "1000000", "--save-freq", "200")
    fleet.learns_on()
    began_s = time.monotonic()
    os.kill(fleet.pids("gcs_server")[0], signal.SIGKILL)
    assert fleet.wait() == 1, fleet.output
    fleet.end_of_all()
    assert time.monotonic() - began_s < SECONDS
    assert "go on with --resume" in fleet.output
    newest = checkpoint.newest(fleet.folder)
    assert newest is not None
    steps = checkpoint.read(newest)["env_steps"]
    again = Fleet(folder, "--steps", str(steps + 200), "--resume", str(newest))
    assert again.wait() == 0, again.output
    again.end_of_all()


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_through_bridges_it_learns_and_what_fails_is_begun_anew(folder: Path) -> None:
    domains = [claim(), claim()]
    world = [sys.executable, "-m", "td3_driver.bridge_twin.world_node", "--ros-args"]
    bridges = [
        {
            "domain": domain,
            "start": [*world, "-p", f"seed:={domain}", "-p", "control_patience_s:=10.0"],
        }
        for domain in domains
    ]
    file = folder / "bridges.yaml"
    file.write_text(yaml.safe_dump({"bridges": bridges}))
    fleet = Fleet(
        folder, "--world", "ros", "--bridges", str(file), "--steps", "1000000",
        "--save-freq", "200",
    )  # fmt: skip
    fleet.learns_on()
    os.kill(fleet.pids("td3_driver.fleet.driver_node")[0], signal.SIGKILL)
    fleet.wait_for("ended with code 137")
    known = len(fleet.lines)
    os.kill(fleet.pids("world_node")[0], signal.SIGKILL)
    fleet.wait_for("restarted, the bridge of localhost:2000", after=known)
    wait_until(
        lambda: len(fleet.pids("td3_driver.fleet.driver_node")) == 2,
        what=lambda: "two drivers",
    )
    fleet.learns_on()
    os.kill(fleet.process.pid, signal.SIGINT)
    assert fleet.wait() == 0, fleet.output
    assert "Traceback" not in fleet.output
    assert "driving in" in (fleet.folder / "collector_1" / "log.txt").read_text()
    fleet.end_of_all()


@pytest.fixture
def two_nodes(folder: Path) -> Iterator[TwoNodes]:
    cluster = TwoNodes(folder)
    yield cluster
    assert cluster.stop() == 0, cluster.output
    cluster.end_of_all()


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_on_two_nodes_of_which_one_is_lost_the_run_goes_on(
    folder: Path, two_nodes: TwoNodes
) -> None:
    fleet = Fleet(
        folder, "--steps", "600", "--save-freq", "200",
        address=two_nodes.address, **two_nodes.token,
    )  # fmt: skip
    fleet.learns_on()
    assert len(two_nodes.pids(COLLECTOR)) == 2
    os.kill(two_nodes.raylet(), signal.SIGKILL)
    fleet.wait_for("restarted, its process ended; its open episode is truncated")
    assert fleet.wait() == 0, fleet.output
    newest = checkpoint.newest(fleet.folder)
    assert newest is not None
    assert checkpoint.read(newest)["env_steps"] >= 600
    assert "Traceback" not in fleet.output
    fleet.end_of_all()
    wait_until(
        lambda: not two_nodes.pids(COLLECTOR) + two_nodes.pids(LEARNER),
        what=lambda: "the end of its actors",
    )


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_a_sweep_runs_on_two_nodes(folder: Path, two_nodes: TwoNodes) -> None:
    file = folder / "mine.yaml"
    file.write_text(SWEEP)
    command = [sys.executable, "-m", "td3_driver.cli", "sweep", str(file)]
    sweep = Marked([*command, "--address", two_nodes.address], **two_nodes.token)
    assert sweep.wait() == 0, sweep.output
    assert "| default | 2 | 40 |" in sweep.output
    assert (folder / "mine" / "sweep.html").exists()
    sweep.end_of_all()


@pytest.mark.long  # ten processes, which starve tests in real time beside them
def test_killed_itself_it_leaves_no_process(folder: Path) -> None:
    fleet = Fleet(folder, "--steps", "1000000")
    wait_until(lambda: len(fleet.pids(COLLECTOR)) == 2, what=lambda: "two collectors")
    os.kill(fleet.process.pid, signal.SIGKILL)
    fleet.process.wait()
    fleet.end_of_all()
    for left in folder.glob("td3_fleet_*"):  # nobody was left to delete it
        for path in sorted(left.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        left.rmdir()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "127.0.0.1:1"], "--address 127.0.0.1:1: no Ray cluster there"),
        (["--resume", "nowhere.pth"], "--resume nowhere.pth: no such file"),
        (["--map", "nowhere.xodr"], "nowhere.xodr"),
        (["--world", "ros"], "--world ros: needs --bridges"),
        (["--bridges", "b.yaml"], "--bridges b.yaml: needs --world ros"),
        (["--world", "ros", "--bridges", "small.yaml"], "expected bridges: and a list of them"),
        (["--utd", "much"], "--utd: 'much' is not a number of at least 0"),
        (["--preset", "end_to_end", "--prefill", "small.yaml"], "prefill small.yaml"),
    ],
)
def test_a_mistake_is_said_in_a_line(folder: Path, options: list[str], said: str) -> None:
    options = [str(folder / one) if one == "small.yaml" else one for one in options]
    fleet = Fleet(folder, *options)
    assert fleet.wait() in (1, 2), fleet.output
    assert said.replace("small.yaml", str(folder / "small.yaml")) in fleet.output
    assert "Traceback" not in fleet.output
    fleet.end_of_all()
