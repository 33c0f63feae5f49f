# SPDX-License-Identifier: Apache-2.0
"""A collector that drives through a bridge: `driver_node`, and the command that starts the bridge.

They are processes of this one, and end with it.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ray

from td3_driver.fleet.actors import found_learner
from td3_driver.fleet.bridges import Bridge
from td3_driver.online.run_folder import LOG
from td3_driver.ros.tether import tethered
from td3_driver.ros.train.children import Child, Process
from td3_driver.ros.train.domains import this_machine_only

_LOOK_EVERY_S = 1.0
_DRIVER_STOP_S, _BRIDGE_STOP_S = 15.0, 20.0


@dataclass(frozen=True)
class RosCollectorSpec:
    """The settings of a collector that drives through a bridge.

    Attributes:
        number: its number, from 0.
        bridge: the bridge.
        folder: of its own, for the node and its log.
        parameters: of `driver_node`.
    """

    number: int
    bridge: Bridge
    folder: Path
    parameters: dict[str, object]


class _Said:
    """Keeps what the processes say, and the last error among it."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self.why = file, ""

    def line(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()
        if line.startswith(("[ERROR]", "[FATAL]", "error:")):
            self.why = f": {line.rpartition('[td3_driver]: ')[2]}"


class PartEndedError(RuntimeError):
    """The bridge or the driver of a collector has ended; one line says how."""


class RosCollectorActor:
    """Runs the processes of one collector, as a Ray actor."""

    def run(self, spec: RosCollectorSpec) -> int:
        """Let it drive until the learner has enough; returns 0.

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
            parts: dict[str, Process] = {}
            if spec.bridge.start:
                parts["bridge"] = Process([*tethered(), *spec.bridge.start], said.line)
                stack.callback(parts["bridge"].stop, _BRIDGE_STOP_S)
            parts["driver"] = Child(
                "td3_driver.fleet.driver_node",
                {**spec.parameters, "checkpoint_dir": str(spec.folder)},
                said.line,
                arguments=[where.gcs_address, where.namespace, str(spec.number)],
            )
            stack.callback(parts["driver"].stop, _DRIVER_STOP_S)
            learner: Any = None
            while learner is None or not ray.get(learner.newest.remote()).over:
                if learner is None:
                    learner, _ = found_learner()
                for name, part in parts.items():
                    if part.exit_code is not None:
                        raise PartEndedError(f"{name} ended with code {part.exit_code}{said.why}")
                time.sleep(_LOOK_EVERY_S)
        return 0
