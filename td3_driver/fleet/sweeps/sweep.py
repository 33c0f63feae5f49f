# SPDX-License-Identifier: Apache-2.0
"""Many trials side by side, on Ray: presets times overlays times seeds, and one table at the end.

    steps: 4000                    # of each trial
    every: 2000                    # steps between evaluations
    episodes: 4                    # of an evaluation, on each of its maps
    seeds: [0, 1, 2]
    presets: [default]
    overlays:                      # by name; each is laid over each preset
      as it is: {}
      no LayerNorm: {agent: {critic_layernorm: false}}
    map: [Town01.xodr]             # to learn on; without it generated roads
    judge_map: [Town02.xodr]       # to be judged on; likewise
    prefill: drives.replay         # on a cluster, paths that all its nodes share
    vector_only: false
    traffic: 0
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.exceptions import RayError, RayTaskError
from tqdm import tqdm

from td3_driver.configuration import load_configuration
from td3_driver.fleet.cluster import cluster
from td3_driver.fleet.sweeps.trial import Trial
from td3_driver.replay.log import last_digest
from td3_driver.world.roads.generation import DIFFICULTIES

ROWS = "sweep.jsonl"
_LOOK_EVERY_S = 1.0


class SweepError(ValueError):
    """A sweep's file cannot be used; one line names it and says why."""


@dataclass(frozen=True)
class Sweep:
    """The settings of a sweep; see the module.

    Attributes:
        overlays: what is laid over each preset, by name.
        map, judge_map: OpenDRIVE files; those to learn on may be difficulties, too.
    """

    steps: int = 4000
    every: int = 2000
    episodes: int = 4
    seeds: tuple[int, ...] = (0, 1, 2)
    presets: tuple[str, ...] = ("default",)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"as it is": {}})
    map: tuple[str, ...] = ()
    judge_map: tuple[str, ...] = ()
    prefill: str = ""
    vector_only: bool = False
    traffic: int = 0

    def trials(self) -> list[Trial]:
        """One for each preset, overlay and seed."""
        return [
            Trial(
                name=self._name(preset, overlay),
                preset=preset,
                overlay=self.overlays[overlay],
                seed=seed,
                steps=self.steps,
                every=self.every,
                episodes=self.episodes,
                maps=self.map,
                judge_maps=self.judge_map,
                prefill=Path(self.prefill) if self.prefill else None,
                vector_only=self.vector_only,
                surroundings={"traffic": self.traffic},
            )
            for seed in self.seeds  # so that all have one seed before any has two
            for preset in self.presets
            for overlay in self.overlays
        ]

    def _name(self, preset: str, overlay: str) -> str:
        if len(self.overlays) == 1:
            return preset
        return overlay if len(self.presets) == 1 else f"{preset}: {overlay}"


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's file, and check every configuration in it.

    Raises:
        SweepError: it cannot be used.
    """
    where = f"sweep {path}"
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SweepError(f"{where}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SweepError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise SweepError(f"{where}: expected settings, as steps: 4000")
    usual = Sweep()
    given: dict[str, Any] = {}
    for name, value in content.items():
        if name not in usual.__dataclass_fields__:
            known = ", ".join(usual.__dataclass_fields__)
            raise SweepError(f"{where}: {name}: no such setting; there are {known}")
        given[name] = _checked(name, value, getattr(usual, name), where)
    sweep = Sweep(**given)
    if not sweep.seeds or not sweep.presets or not sweep.overlays:
        raise SweepError(f"{where}: no trial: seeds, presets and overlays need one entry each")
    roads = [("map", one) for one in sweep.map if one not in DIFFICULTIES]
    roads += [("judge_map", one) for one in sweep.judge_map]
    for name, file in [*roads, *([("prefill", sweep.prefill)] if sweep.prefill else [])]:
        if not Path(file).is_file():
            raise SweepError(f"{where}: {name}: {file}: there is no such file")
    for trial in sweep.trials():
        try:
            load_configuration(trial.preset, trial.overlay)
        except ValueError as error:
            raise SweepError(f"{where}: {trial.name}: {error}") from error
    return sweep


def _checked(name: str, value: Any, usual: Any, where: str) -> Any:
    """Return a setting of the kind of its default."""
    wanted = {int: "a number", bool: "true or false", str: "a text", tuple: "a list"}
    kind = dict if isinstance(usual, Mapping) else type(usual)
    if kind is tuple and isinstance(value, list):
        element = int if name == "seeds" else str
        if all(type(one) is element for one in value):
            return tuple(value)
    elif kind is dict and isinstance(value, dict):
        if all(isinstance(one, (dict, type(None))) for one in value.values()):
            return {str(key): one or {} for key, one in value.items()}
    elif kind is int and type(value) is int:
        if value >= (0 if name == "traffic" else 1):
            return value
    elif type(value) is kind:
        return value
    expected = wanted.get(kind, "names, each with settings")
    raise SweepError(f"{where}: {name}: {value!r} is not {expected}")


def run(sweep: Sweep, out: Path, address: str | None, cpus: int) -> int:
    """Run the trials that are still to be run; return the exit code.

    A trial's evaluations are kept in `sweep.jsonl` when it has ended.

    Args:
        sweep: what is to be run.
        out: folder of the results; those there count, if they are of trials with these settings.
        address: of a Ray cluster; None: one of its own.
        cpus: trials at once, on a cluster of its own.

    Raises:
        ClusterError: there is no cluster.
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = finished(out / ROWS, sweep)
    done = {row["trial"] for row in rows}
    open_trials = [one for one in sweep.trials() if identity(one) not in done]
    failed = 0
    with cluster(address, "sweep", cpus, 0.0, lost=_say_how_to_go_on):
        task: Any = ray.remote(_rows_of)
        running = {task.options(max_retries=1).remote(one): one for one in open_trials}
        with tqdm(total=len(sweep.trials()), initial=len(done), unit=" trials") as bar:
            while running:
                ended, _ = ray.wait(list(running), timeout=_LOOK_EVERY_S)
                for reference in ended:
                    trial = running.pop(reference)
                    try:
                        found = ray.get(reference)
                    except RayError as error:
                        failed += 1
                        bar.write(f"{trial.name}, seed {trial.seed}: {_reason(error)}")
                        continue
                    rows += found
                    with (out / ROWS).open("a", encoding="utf-8") as file:
                        file.writelines(json.dumps(row) + "\n" for row in found)
                    bar.update()
    return 1 if failed else 0


def finished(path: Path, sweep: Sweep) -> list[dict[str, Any]]:
    """Return the rows of those trials of a sweep that were run to their end.

    Raises:
        SweepError: the file is not a sweep's.
    """
    if not path.exists():
        return []
    wanted = {identity(trial) for trial in sweep.trials()}
    rows, foreign = [], 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            rows += [row] if row["trial"] in wanted else []
        except (ValueError, KeyError, TypeError):  # half a line, of a killed sweep; or another's
            foreign += 1
    if foreign > 1:
        raise SweepError(f"{path}: not the results of a sweep; give another --out")
    ended = {row["trial"] for row in rows if row["steps"] >= sweep.steps}
    return [row for row in rows if row["trial"] in ended]


def identity(trial: Trial) -> str:
    """Return what is the same for trials of the same settings, whatever their file looked like."""
    configuration = load_configuration(trial.preset, trial.overlay)
    overlay = configuration.to_mapping()
    # As it was when rows were first kept, where these were told at their defaults, too.
    overlay["agent"] = {"advised": False, "imitation_weight": 0.0, **overlay["agent"]}
    settings = {**asdict(trial), "overlay": overlay}
    if trial.prefill is not None:
        settings["prefill"] = last_digest(trial.prefill)
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _say_how_to_go_on() -> None:
    print("sweep: the cluster's head is lost; the same command goes on", file=sys.stderr)


def _rows_of(trial: Trial) -> Sequence[dict[str, Any]]:
    name = identity(trial)
    return [{**row, "trial": name} for row in trial.rows()]


def _reason(error: RayError) -> str:
    cause = error.cause if isinstance(error, RayTaskError) else error
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
