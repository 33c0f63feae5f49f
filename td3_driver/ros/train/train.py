# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: runs a world and the driver, and shows their progress."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from td3_driver import signals
from td3_driver.console import BAR
from td3_driver.online import evaluations
from td3_driver.online.evaluations import LAST_EVALUATION_S, LOWEST_PRIORITY
from td3_driver.online.run_folder import LOG, TENSORBOARD, RunFolder
from td3_driver.ros import diagnostics, names
from td3_driver.ros.train.carla import CarlaOptions, CarlaWorld
from td3_driver.ros.train.children import Child, Program
from td3_driver.ros.train.domains import this_machine_only

DRIVER_STOP_S = 15.0
WORLD_STOP_S = 3.0
RECORDER_START_S = 30.0
RECORDER_STOP_S = 20.0
EVALUATOR_STOP_S = 2.0
RECENT_EPISODES = 10
LOG_PERIOD_S = 10.0
LAST_MESSAGES = 10


@dataclass(frozen=True)
class TrainOptions:
    """The checked options of the command line, for the nodes and the evaluator.

    Attributes:
        driver: parameters of the driver.
        world: parameters of `world_node`, or CARLA's processes.
        evaluator: arguments of the evaluator; None: no checkpoint is driven beside the run.
        steps: of the run.
        run: the folder that was claimed for it.
        recorder: parameters of `recorder_node`; None: no bag.
    """

    driver: Mapping[str, object]
    world: Mapping[str, object] | CarlaOptions
    evaluator: Sequence[str] | None
    steps: int
    run: RunFolder
    recorder: Mapping[str, object] | None = None


def train(options: TrainOptions) -> int:
    """Run to the end, to Ctrl-C, or to a failure; return the exit code.

    The options are checked already: any exception is an error of the program, and is printed with
    its traceback.
    """
    try:
        return _train(options)
    except Exception:  # noqa: BLE001 - see above
        traceback.print_exc()
        return 1


def _train(options: TrainOptions) -> int:
    began_ns = time.time_ns()
    # Invisible on the network; ros2 tools on the same machine still see the run.
    os.environ.setdefault(*this_machine_only())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    asked: list[int] = []
    signals.handle(lambda number, _: asked.append(number))
    progress = Progress(options.steps, options.run.path / LOG)
    keeps = () if options.run.lock is None else (options.run.lock.fileno(),)
    with ExitStack() as stack:  # ended in reverse order, whatever happens
        stack.callback(rclpy.try_shutdown)
        stack.callback(progress.close)
        recorder = Recorder(options.recorder, progress.log) if options.recorder else None
        if recorder is not None:
            stack.callback(recorder.stop, RECORDER_STOP_S)
        # The world ends after the driver, which brakes a car that still moves.
        world = _world(options.world, progress.log, stack, lambda: bool(asked))
        if recorder is not None:
            recorder.wait(lambda: bool(asked))
        driver = Child("td3_driver.ros.driver.node", options.driver, progress.log, keeps)
        evaluator = None
        if options.evaluator is not None:
            arguments = [*options.evaluator, "--since-ns", str(began_ns)]
            evaluator = Evaluator(options.run.path, arguments, progress.log, keeps)
            stack.callback(evaluator.stop, EVALUATOR_STOP_S)
        stack.callback(driver.stop, DRIVER_STOP_S)
        ended = _follow(progress, driver, world, evaluator, asked)
        code = driver.stop(DRIVER_STOP_S)
        if code < 0:  # killed, it could not report it itself
            name = signal.Signals(-code).name
            progress.log(f"driver killed by {name}: what came after the newest checkpoint is lost")
        lost = ended is _End.LOST or (world.exit_code is not None and not asked)
        world.stop()
        recorded = recorder is None or recorder.stop(RECORDER_STOP_S) == 0
        if evaluator is not None and ended is _End.ALONE and code == 0:
            evaluator.finish(lambda: bool(asked))
    if code == 0 or progress.episodes:
        print(progress.table(options.run.path))
    return 0 if code == 0 and recorded and not lost else 1


class World(Protocol):
    """What the car drives in: one process or several."""

    @property
    def exit_code(self) -> int | None:
        """The exit code of the first that ended; None while all run."""

    def stop(self) -> object:
        """End it, and wait until it has ended."""


class EmbeddedWorld(Child):
    """`world_node`."""

    def __init__(self, parameters: Mapping[str, object], log: Callable[[str], None]) -> None:
        super().__init__("td3_driver.bridge_twin.world_node", parameters, log)

    def stop(self, within_s: float = WORLD_STOP_S) -> int:
        """Stop as `Child.stop`."""
        return super().stop(within_s)


def _world(
    options: Mapping[str, object] | CarlaOptions,
    log: Callable[[str], None],
    stack: ExitStack,
    skip: Callable[[], bool],
) -> World:
    if isinstance(options, CarlaOptions):
        carla = CarlaWorld(options, log)
        stack.callback(carla.stop)
        carla.start(skip)
        return carla
    embedded = EmbeddedWorld(options, log)
    stack.callback(embedded.stop)
    return embedded


class _End(enum.Enum):
    """Why the driver is no longer followed."""

    ALONE = "it ended by itself"
    ASKED = "stopping"
    LOST = "the world is lost"


class Recorder(Child):
    """The process that writes the bag."""

    def __init__(self, parameters: Mapping[str, object], log: Callable[[str], None]) -> None:
        from td3_driver.ros.recorder_node import RECORDING  # with rosbags, which few runs need

        self._recording = False

        def hear(line: str) -> None:
            self._recording |= RECORDING in line
            log(line)

        super().__init__("td3_driver.ros.recorder_node", parameters, hear)

    def wait(self, skip: Callable[[], bool]) -> None:
        """Wait, up to a limit, until it hears the world, so that no driven frame is missed."""
        leave_by_s = time.monotonic() + RECORDER_START_S
        while not self._recording and self.exit_code is None and time.monotonic() < leave_by_s:
            if skip():
                return
            time.sleep(0.02)


class Evaluator:
    """The process that chooses best.pth; learning neither waits for it nor needs it.

    It starts when there is a checkpoint to evaluate: before, it would only delay the other
    processes.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        log: Callable[[str], None],
        keeps: Sequence[int],
    ) -> None:
        self._folder, self._arguments, self._keeps = folder, arguments, keeps
        self._log = log
        self._program: Program | None = None
        self._lost = False

    def watch(self) -> None:
        """Start it when it is needed; log once if it has ended."""
        if self._program is None:
            if any(self._folder.glob("td3_*.pth")):
                module = "td3_driver.evaluation.selection"
                self._program = Program(module, self._arguments, self._log, self._keeps)
                os.setpriority(os.PRIO_PROCESS, self._program.pid, LOWEST_PRIORITY)
        elif self._program.exit_code is not None and not self._lost:
            self._lost = True
            code = self._program.exit_code
            self._log(f"the evaluator ended (exit code {code}); best.pth stays as it is")

    def finish(self, skip: Callable[[], bool]) -> None:
        """Wait for the last evaluations, up to a limit and until asked to `skip` them."""
        self.watch()
        if self._program is None:
            return
        self._program.close_input()
        if self._program.exit_code is None:
            self._log(
                f"waiting up to {LAST_EVALUATION_S:.0f} s for the last evaluation; Ctrl-C skips it"
            )
        leave_by_s = time.monotonic() + LAST_EVALUATION_S
        while self._program.exit_code is None:
            if skip() or time.monotonic() > leave_by_s:
                self._log("the last evaluation is skipped")
                return
            time.sleep(0.1)

    def stop(self, within_s: float) -> None:
        """End it within a time in s."""
        if self._program is not None:
            self._program.stop(within_s)


def _follow(
    progress: Progress,
    driver: Child,
    world: World,
    evaluator: Evaluator | None,
    asked: list[int],
) -> _End:
    """Show the progress until the driver ends; make it end when asked, or without a world."""
    node = rclpy.create_node("td3_driver_progress")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for topic, callback in (("learner", progress.learner), ("episode", progress.episode)):
        node.create_subscription(
            DiagnosticStatus, f"/td3_driver/{topic}", callback, names.VOLATILE_10
        )
    end, leave_by_s = _End.ALONE, float("inf")
    while driver.exit_code is None and time.monotonic() < leave_by_s:
        executor.spin_once(timeout_sec=0.1)
        if end is not _End.ALONE:
            continue
        if asked:  # first: a signal to the whole group also ends the others
            end = _End.ASKED
        elif world.exit_code is not None:
            end = _End.LOST
        else:
            if evaluator is not None:
                evaluator.watch()
            continue
        exit_code = f" (exit code {world.exit_code})" if end is _End.LOST else ""
        progress.log(f"{end.value}{exit_code}: braking, saving latest.pth")
        driver.interrupt()
        leave_by_s = time.monotonic() + DRIVER_STOP_S
    for _ in range(LAST_MESSAGES):  # messages that came with the driver's end
        executor.spin_once(timeout_sec=0.0)
    executor.shutdown()
    node.destroy_node()
    return end


class Progress:
    """The progress bar, or occasional lines without a terminal, and the final table."""

    def __init__(self, steps: int, log_file: Path) -> None:
        self._log_file = log_file
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=steps, bar_format=BAR, dynamic_ncols=True, disable=not self._terminal
        )
        self._learner: dict[str, str] = {}
        self.episodes: deque[dict[str, str]] = deque(maxlen=RECENT_EPISODES)
        self._started_s = self._logged_s = time.monotonic()

    def log(self, line: str) -> None:
        """Print a node's line above the bar and append it to the run's log."""
        self._bar.write(line, file=sys.stderr)
        self._keep(line)

    def _keep(self, text: str) -> None:
        # The folder may be gone or the disk full: the nodes that write there report it.
        with contextlib.suppress(OSError), self._log_file.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def learner(self, message: DiagnosticStatus) -> None:
        """Take in a message of the driver's `~/learner`."""
        self._learner = diagnostics.values(message)
        self._bar.n = int(self._learner["env_steps"])
        self._bar.set_postfix_str(self._summary(), refresh=True)
        if not self._terminal and time.monotonic() - self._logged_s > LOG_PERIOD_S:
            self._logged_s = time.monotonic()
            self.log(f"step {self._learner['env_steps']} of {self._bar.total}: {self._summary()}")

    def episode(self, message: DiagnosticStatus) -> None:
        """Take in a message of the driver's `~/episode`."""
        self.episodes.append({**diagnostics.values(message), "ended": message.message})

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()

    def table(self, folder: Path) -> str:
        """Return the results of the run and the places of its files."""
        learner = self._learner or {"env_steps": "0", "updates": "0", "episodes": "0"}
        minutes = (time.monotonic() - self._started_s) / 60.0
        rows = [
            ("steps", learner["env_steps"]),
            ("updates", learner["updates"]),
            ("episodes", learner["episodes"]),
            ("wall time", f"{minutes:.1f} min"),
            *self._recent_rows(),
            ("run", str(folder)),
            ("newest", learner.get("checkpoint", "") or "none"),
            ("best", _best(folder)),
            ("TensorBoard", str(folder / TENSORBOARD)),
        ]
        text = "\n".join(f"  {name:<18} {value}" for name, value in rows)
        self._keep(text)
        return text

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


def _best(folder: Path) -> str:
    row = evaluations.best(evaluations.newest_run(folder))
    if row is None:
        return "none yet evaluated"
    completion, rmse_m = 100.0 * row["route_completion"], row["lateral_rmse_m"]
    return f"{row['checkpoint']}: route completion {completion:.0f} %, lateral RMSE {rmse_m:.2f} m"
