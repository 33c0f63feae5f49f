# SPDX-License-Identifier: Apache-2.0
"""A collector that drives through a bridge: `driver_node`, and the command that starts the bridge.

They are processes of this one, and end with it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ray
import yaml
from ray.exceptions import RayError

from td3_driver.fleet import keeper as keeping
from td3_driver.fleet.actors import LEARNER, Located
from td3_driver.fleet.bridges import Bridge
from td3_driver.fleet.collector import own_seed
from td3_driver.fleet.failures import PartEndedError
from td3_driver.fleet.messages import Answer
from td3_driver.online.run_folder import LOG
from td3_driver.ros.tether import tethered
from td3_driver.ros.train.children import Process
from td3_driver.ros.train.domains import this_machine_only

_LOOK_EVERY_S = 1.0
_STOP_S = 5.0  # more than what a keeper takes


@dataclass(frozen=True)
class RosCollectorSpec:
    """The settings of a collector that drives through a bridge.

    Attributes:
        number: its number, from 0.
        bridge: the bridge.
        folder: of its own, for the node and its log.
        parameters: of `driver_node`, but for its seed.
        run_seed: the run's.
        attempt: see `CollectorSpec`.
    """

    number: int
    bridge: Bridge
    folder: Path
    parameters: dict[str, object]
    run_seed: int
    attempt: int = 0

    @property
    def seed(self) -> int:
        """The collector's own seed."""
        return own_seed(self.run_seed, self.number, self.attempt)


class _Said:
    """Keeps what the processes say, and the last error among it."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self.why = file, ""

    def line(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()
        if line.startswith(("[ERROR]", "[FATAL]", "error:")):
            self.why = f": {line.rpartition('[td3_driver]: ')[2]}"


class RosCollectorActor(Located):
    """Runs the processes of one collector, as a Ray actor."""

    def __init__(self) -> None:
        self._learner: Any = None

    def run(self, spec: RosCollectorSpec) -> None:
        """Let it drive until the learner has enough.

        Raises:
            PartEndedError: the bridge or the driver has ended.
        """
        os.environ["ROS_DOMAIN_ID"] = str(spec.bridge.domain)
        if spec.bridge.start:  # what is started here need not be seen from elsewhere
            os.environ.setdefault(*this_machine_only())
        where = ray.get_runtime_context()
        spec.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            said = _Said(stack.enter_context((spec.folder / LOG).open("a", encoding="utf-8")))
            commands = {"driver": self._driver(spec, where.gcs_address, where.namespace)}
            if spec.bridge.start:
                commands = {"bridge": list(spec.bridge.start), **commands}
            parts: dict[str, Process] = {}
            for name, command in commands.items():
                lock = str(spec.folder / f".{name}.lock")
                keeper = [sys.executable, "-m", "td3_driver.fleet.keeper", lock]
                parts[name] = Process([*tethered(), *keeper, *command], said.line)
                stack.callback(parts[name].stop, keeping.END_S + _STOP_S)
            while not self._over():
                for name, part in parts.items():
                    if part.exit_code is not None:
                        raise PartEndedError(
                            f"the {name} of {spec.bridge} ended with code"
                            f" {part.exit_code}{said.why}"
                        )
                time.sleep(_LOOK_EVERY_S)

    def _driver(self, spec: RosCollectorSpec, address: str, run: str) -> list[str]:
        file = spec.folder / "driver.yaml"
        own = {"seed": spec.seed, "checkpoint_dir": str(spec.folder)}
        parameters = {**spec.parameters, **own}
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        start = [sys.executable, "-m", "td3_driver.start", "td3_driver.fleet.driver_node"]
        return [*start, address, run, str(spec.number), "--ros-args", "--params-file", str(file)]

    def _over(self) -> bool:
        """Whether the run is; without a learner, for the moment, it is not."""
        try:
            if self._learner is None:
                self._learner = ray.get_actor(LEARNER)
            answer: Answer = ray.get(self._learner.newest.remote())
        except (ValueError, RayError):
            self._learner = None
            return False
        return answer.over
