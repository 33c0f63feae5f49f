# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: the embedded world and the driver as processes, and their progress."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from td3_driver.ros import diagnostics, names
from td3_driver.ros.children import Child

DRIVER_STOP_S = 15.0
WORLD_STOP_S = 3.0
RECENT_EPISODES = 10
LOG_PERIOD_S = 10.0
LAST_MESSAGES = 10
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


@dataclass(frozen=True)
class TrainOptions:
    """What the command line said, checked."""

    driver: Mapping[str, object]
    world: Mapping[str, object]
    steps: int


def train(options: TrainOptions) -> int:
    """Run to the end, to Ctrl-C, or to a failure; the exit code."""
    # A laptop's run is nobody else's business; ros2 tools on the same machine still see it.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: asked.append(signum))
    progress = Progress(options.steps)
    world = Child("td3_driver.world.world_node", options.world, progress.log)
    driver = Child("td3_driver.ros.driver_node", options.driver, progress.log)
    try:
        _follow(progress, driver, asked)
    finally:
        # The world last: the driver brakes a car that still moves.
        code = driver.stop(DRIVER_STOP_S)
        world.stop(WORLD_STOP_S)
        progress.close()
        rclpy.try_shutdown()
    if code == 0 or progress.episodes:
        print(progress.table(str(options.driver["checkpoint_dir"])))
    return 0 if code == 0 else 1


def _follow(progress: Progress, driver: Child, asked: list[int]) -> None:
    node = rclpy.create_node("td3_driver_progress")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for topic, callback in (("learner", progress.learner), ("episode", progress.episode)):
        node.create_subscription(
            DiagnosticStatus, f"/td3_driver/{topic}", callback, names.VOLATILE_10
        )
    leave_by_s = float("inf")
    while driver.exit_code is None and time.monotonic() < leave_by_s:
        executor.spin_once(timeout_sec=0.1)
        if asked:
            asked.clear()
            progress.log("stopping: braking, saving latest.pth")
            driver.interrupt()
            leave_by_s = time.monotonic() + DRIVER_STOP_S
    for _ in range(LAST_MESSAGES):  # those that came with the driver's end
        executor.spin_once(timeout_sec=0.0)
    executor.shutdown()
    node.destroy_node()


class Progress:
    """The bar of a terminal, or a line now and then where there is none, and the last table."""

    def __init__(self, steps: int) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=steps, bar_format=BAR, dynamic_ncols=True, disable=not self._terminal
        )
        self._learner: dict[str, str] = {}
        self.episodes: deque[dict[str, str]] = deque(maxlen=RECENT_EPISODES)
        self._started_s = self._logged_s = time.monotonic()

    def log(self, line: str) -> None:
        """A line of a node, above the bar."""
        self._bar.write(line, file=sys.stderr)

    def learner(self, message: DiagnosticStatus) -> None:
        """`~/learner` of the driver."""
        self._learner = diagnostics.values(message)
        self._bar.n = int(self._learner["env_steps"])
        self._bar.set_postfix_str(self._summary(), refresh=True)
        if not self._terminal and time.monotonic() - self._logged_s > LOG_PERIOD_S:
            self._logged_s = time.monotonic()
            self.log(f"step {self._learner['env_steps']} of {self._bar.total}: {self._summary()}")

    def episode(self, message: DiagnosticStatus) -> None:
        """`~/episode` of the driver."""
        self.episodes.append({**diagnostics.values(message), "ended": message.message})

    def close(self) -> None:
        """End the bar."""
        self._bar.close()

    def table(self, folder: str) -> str:
        """What the run came to, and where its files are."""
        learner = self._learner or {"env_steps": "0", "updates": "0", "episodes": "0"}
        minutes = (time.monotonic() - self._started_s) / 60.0
        rows = [
            ("steps", learner["env_steps"]),
            ("updates", learner["updates"]),
            ("episodes", learner["episodes"]),
            ("wall time", f"{minutes:.1f} min"),
            *self._recent_rows(),
            ("checkpoints", folder),
            ("newest", learner.get("checkpoint", "") or "none"),
            ("TensorBoard", str(Path(folder) / "tensorboard")),
        ]
        return "\n".join(f"  {name:<18} {value}" for name, value in rows)

    def _recent_rows(self) -> list[tuple[str, str]]:
        if not self.episodes:
            return []
        return [
            (f"return, last {len(self.episodes)}", f"{self._mean('return'):.1f}"),
            ("route completion", f"{100 * self._mean('completion'):.0f} %"),
            ("speed", f"{self._mean('mean_speed_mps'):.1f} m/s"),
        ]

    def _summary(self) -> str:
        parts = [f"episode {self._learner['episodes']}"]
        if self.episodes:
            last = self.episodes[-1]
            parts.append(f"return {float(last['return']):.0f}")
            parts.append(f"route {100 * float(last['completion']):.0f}% ({last['ended']})")
        parts.append(f"{float(self._learner['env_steps_per_s']):.0f} steps/s")
        parts.append(f"{float(self._learner['updates_per_s']):.0f} updates/s")
        parts.append(f"replay {100 * float(self._learner['replay_fill']):.1f}%")
        return ", ".join(parts)

    def _mean(self, key: str) -> float:
        return sum(float(episode[key]) for episode in self.episodes) / len(self.episodes)
