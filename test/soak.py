# SPDX-License-Identifier: Apache-2.0
"""`make soak`: training at full speed under random faults; does anything grow, is anything lost?

The world is the embedded one, ticked here; driver and learner are the real processes. Every few
seconds one fault is drawn; one frame in the world is one command in the driver, always. Each line
of `soak.jsonl` is a sample: memory, file descriptors, threads, shared memory, steps.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from td3_driver.ros.train.domains import claim, this_machine_only

# Beyond the tests' own; their ports are outside the ephemeral range.
os.environ.setdefault("ROS_DOMAIN_ID", str(claim(range(215, 232))))
os.environ.setdefault(*this_machine_only())

from carla_msgs.msg import CarlaEgoVehicleControl

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.types import Control
from td3_driver.ros.process import SHARED_MEMORY

from .e2e.faulty_world import TOPICS, FaultyWorld, Messages
from .e2e.running import Node, learner_of, tree

FAULT_EVERY_STEPS = 150
SAMPLE_EVERY_S = 5.0
TOWNS = 5


def not_an_image(messages: Messages) -> None:
    messages["image"].encoding = "16UC1"


def no_position(messages: Messages) -> None:
    messages["odometry"].pose.pose.position.y = math.nan


class Soak:
    """One driver after the other, in one world."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.world = FaultyWorld()
        self.rng = np.random.default_rng(seed)
        self.faults: Counter[str] = Counter()
        self.recent: deque[str] = deque(maxlen=5)
        self.frames = self.lost_steps = self.restarts = 0
        self._shared: set[Path] = set()
        self.samples: list[dict[str, Any]] = []
        self._folder = folder
        self._file = (folder / "soak.jsonl").open("w")
        self._begun_s = self._sampled_s = time.monotonic()
        self._kinds: tuple[Callable[[], None], ...] = (
            self.bad_image, self.bad_odometry, self.missing_image, self.time_jump, self.other_town,
            self.rival, self.human, self.hung_learner, self.save, self.load, self.exploration,
            self.killed_learner, self.killed_driver, self.asked_to_stop,
        )  # fmt: skip
        self.driver = self.start()

    def start(self) -> Node:
        """A driver that goes on where the last one was."""
        latest = self._folder / "run" / "latest.pth"
        resume = [f"resume:={latest}"] if latest.exists() else []
        driver = Node(
            "ros.driver.node", f"checkpoint_dir:={self._folder}/run", "on_loss:=exit",
            "learner_timeout_s:=20.0", "answer_within_s:=5.0", "world_timeout_s:=120.0",
            "save_freq:=2000", "keep_last:=3", *resume,
        )  # fmt: skip
        driver.wait_for("resuming at step" if resume else "latest.pth at step 0")
        self.world.begin()
        self._shared |= dds_files(driver.process.pid)
        return driver

    def run(self, minutes: float) -> None:
        """Until the time is over."""
        end_s = self._begun_s + 60.0 * minutes
        while time.monotonic() < end_s:
            for _ in range(FAULT_EVERY_STEPS):
                self.step()
            kind = self._kinds[int(self.rng.integers(len(self._kinds)))]
            self.recent.append(kind.__name__)
            kind()
            self.faults[kind.__name__] += 1
        self.asked_to_stop()
        self.driver.kill()

    def step(self, spoil: Callable[[Messages], None] | None = None) -> None:
        """One frame, one command: `FaultyWorld.step` fails on none and on two."""
        self.world.step(spoil or (lambda messages: None))
        self.world.commands.clear()
        self.frames += 1
        if time.monotonic() - self._sampled_s > SAMPLE_EVERY_S:
            self.sample()

    def sample(self) -> None:
        """Write down what the processes hold."""
        self._sampled_s = time.monotonic()
        values = self.world.values("td3_driver: learner")
        held_now = dds_files(os.getpid()) | dds_files(self.driver.process.pid)
        self._shared |= held_now
        existing = self.dds_files_left()
        line = {
            "time_s": round(self._sampled_s - self._begun_s, 1),
            "frames": self.frames,
            "env_steps": int(values["env_steps"]),
            "updates": int(values["updates"]),
            "driver": held(self.driver.process.pid),
            "learner": held(learner_of(self.driver)),
            "dds_files": len(existing),
            "dds_files_left_behind": len(existing - held_now),
            "restarts": self.restarts,
        }
        self.samples.append(line)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def dds_files_left(self) -> set[Path]:
        """What exists in shared memory of all that this world and its drivers made there."""
        return {file for file in self._shared if file.exists()}

    # The faults.

    def bad_image(self) -> None:
        for _ in range(int(self.rng.integers(1, 20))):
            self.step(not_an_image)

    def bad_odometry(self) -> None:
        for _ in range(int(self.rng.integers(1, 20))):
            self.step(no_position)

    def missing_image(self) -> None:
        self.world.step(skip={"image"})
        self.world.commands.clear()

    def time_jump(self) -> None:
        self.world.offset_ns += int(self.rng.integers(1, 1000)) * 1_000_000_000

    def other_town(self) -> None:
        self.world.offset_ns += 100_000_000_000_000
        self.world.enter_town(int(self.rng.integers(TOWNS)))

    def rival(self) -> None:
        node = self.world.node
        publisher = node.create_publisher(CarlaEgoVehicleControl, TOPICS.control, 10)
        self.step()
        node.destroy_publisher(publisher)

    def human(self) -> None:
        self.world.take_over(Control(throttle=0.3, steer=float(self.rng.uniform(-0.1, 0.1))))
        for _ in range(40):
            self.step()
        self.world.take_over(None)

    def hung_learner(self) -> None:
        pid = learner_of(self.driver)
        os.kill(pid, signal.SIGSTOP)
        self.world.spin_for(1.0)
        os.kill(pid, signal.SIGCONT)

    def save(self) -> None:
        assert self.world.trigger("/save_checkpoint").success

    def load(self) -> None:
        assert self.world.trigger("/load_checkpoint").success

    def exploration(self) -> None:
        assert self.world.set_parameter(
            "exploration", float(self.rng.uniform(0.5, 1.5))
        ).successful

    def killed_learner(self) -> None:
        os.kill(learner_of(self.driver), signal.SIGKILL)
        self.replace(expected=1)

    def killed_driver(self) -> None:
        os.kill(self.driver.process.pid, signal.SIGKILL)
        self.replace(expected=-signal.SIGKILL)

    def asked_to_stop(self) -> None:
        self.driver.process.send_signal(signal.SIGTERM)
        self.replace(expected=0)

    def replace(self, expected: int) -> None:
        """See the driver end, with all its processes, and start another."""
        steps = int(self.world.diagnostics_of("td3_driver: learner").get("env_steps", "0"))
        family = tree(self.driver.process.pid)
        code = self.driver.process.wait(30.0)
        assert code == expected, (code, expected, self.driver.lines[-20:])
        assert "Traceback" not in self.driver.output, self.driver.lines[-40:]
        end_s = time.monotonic() + 20.0
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            assert time.monotonic() < end_s, "orphans"
            time.sleep(0.05)
        files = [*self._folder.glob("run/*.pth")]
        assert all(checkpoint.read(file) for file in files)
        latest = checkpoint.read(self._folder / "run" / "latest.pth")["env_steps"]
        self.lost_steps = max(self.lost_steps, steps - latest)
        self.restarts += 1
        self.driver = self.start()


def dds_files(pid: int) -> set[Path]:
    """Fast DDS's files in shared memory that a process has mapped or open."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    names = {line.split(maxsplit=5)[-1] for line in maps}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.add(os.readlink(link))
    paths = map(Path, names)
    return {path for path in paths if path.match(str(SHARED_MEMORY / "fast*_*"))}


def held(pid: int) -> dict[str, float]:
    """Resident memory, of that what no file backs (MB), file descriptors, threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "rss_mb": round(int(fields["VmRSS"].split()[0]) / 1024.0, 1),
        "anonymous_mb": round(int(fields["RssAnon"].split()[0]) / 1024.0, 1),
        "fds": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(fields["Threads"]),
    }


def figures(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """What was held: counts ever seen, memory at the ends of the driver's longest life."""
    lives = (list(life) for _, life in itertools.groupby(samples, lambda line: line["restarts"]))
    ends = max(((life[0], life[-1]) for life in lives), key=_frames_between)
    found: dict[str, Any] = {"frames_of_longest_life": _frames_between(ends)}
    for process in ("driver", "learner"):
        for count in ("fds", "threads"):
            found[f"{process}_{count}"] = sorted({line[process][count] for line in samples})
        for memory in ("rss_mb", "anonymous_mb"):
            found[f"{process}_{memory}"] = [line[process][memory] for line in ends]
    for count in ("dds_files", "dds_files_left_behind"):
        found[f"{count}_at_most"] = max(line[count] for line in samples)
    return found


def _frames_between(ends: tuple[dict[str, Any], dict[str, Any]]) -> int:
    first, last = ends
    return int(last["frames"] - first["frames"])


def main() -> None:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to keep; default: a temporary one")
    args = parser.parse_args()
    folder = args.out or Path(tempfile.mkdtemp(prefix="td3_soak_"))
    folder.mkdir(parents=True, exist_ok=True)
    soak = Soak(folder, args.seed)
    try:
        soak.run(args.minutes)
    except AssertionError:
        print("\n".join(soak.driver.lines[-30:]), file=sys.stderr)
        print(f"last faults: {soak.recent}", file=sys.stderr)
        raise
    finally:
        soak.driver.kill()
        soak.world.close()
    print(json.dumps({
        "minutes": args.minutes, "frames": soak.frames, "restarts": soak.restarts,
        "steps_lost_at_most": soak.lost_steps, "faults": dict(sorted(soak.faults.items())),
        **figures(soak.samples),
        "dds_files_left_at_the_end": sorted(file.name for file in soak.dds_files_left()),
        "samples": str(folder / "soak.jsonl"),
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
