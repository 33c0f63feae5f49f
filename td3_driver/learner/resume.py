# SPDX-License-Identifier: Apache-2.0
"""A run's state, checkpoint and replay together: saved, and restored or left unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from td3_driver.agent import snapshot
from td3_driver.agent.algorithm import Algorithm
from td3_driver.agent.config import AgentConfig
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay
from td3_driver.replay.log import ReplayLink
from td3_driver.replay.meaning import Meaning, MeaningError, completed, differences, flat


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run, which stay in force whatever file is loaded: a file gives only state.

    Attributes:
        agent: settings of networks and learning.
        meaning: meaning of its observations and actions; networks of another meaning are refused.
        rest: its other settings, plain and nested, as in its checkpoints under `run.settings`;
            differences from a loaded file are reported.
    """

    agent: AgentConfig
    meaning: Meaning = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Return all settings by dotted names."""
        return flat({**self.rest, "agent": self.agent.to_mapping()})


@dataclass(frozen=True)
class Resumed:
    """The result of a load.

    Attributes:
        run: The caller's data, as it was saved.
        link: Link to the restored replay, to be passed to the next `save`; None without.
        lost: What could not be restored, in one sentence; "" if nothing.
        changed: Settings of the file that no longer apply, as "name new (saved: old)".
    """

    run: dict[str, Any]
    link: ReplayLink | None
    lost: str
    changed: tuple[str, ...] = ()


def save(
    agent: Algorithm,
    path: str | Path,
    run: Mapping[str, Any],
    replay: Replay | None = None,
    rows: int = 0,
    previous: ReplayLink | None = None,
) -> ReplayLink | None:
    """Write the replay, if one is given, then a checkpoint, also as `latest.pth`.

    Args:
        agent: The agent to save.
        path: `td3_<step>.pth`.
        run: Plain data of the caller's to save with it.
        replay: The replay to save as `td3_<step>.replay`, or None.
        rows: Number of its rows to save, see `replay_file.save`.
        previous: Link that the last `save` or `load` returned.

    Returns:
        The link for the next save's `previous`; None without a replay.

    Raises:
        CheckpointError: If it cannot be written; earlier checkpoints are unharmed.
    """
    return write(agent.checkpoint_payload(run), path, replay, rows, previous)


def write(
    payload: Mapping[str, Any],
    path: str | Path,
    replay: Replay | None = None,
    rows: int = 0,
    previous: ReplayLink | None = None,
    *,
    publish: bool = True,
) -> ReplayLink | None:
    """Write a payload as `save` does; may run in a thread beside the training.

    `publish`: also publish it as `latest.pth` in its folder.
    """
    path = Path(path)
    link = None
    if replay is not None and rows > 0:
        link = replay_file.save(replay, path.with_suffix(".replay"), rows, previous)
    checkpoint.write(path, {**payload, "replay": link.to_mapping() if link else None})
    if publish and path.name != checkpoint.LATEST:
        checkpoint.publish_latest(path)
    return link


def load(
    agent: Algorithm,
    path: str | Path,
    replay: Replay | None = None,
    own: RunSettings | None = None,
) -> Resumed:
    """Restore a checkpoint, and its replay if one is given to be filled.

    The state comes from the file, the settings from the run, or from the file without a run. The
    networks' shapes and the meaning of observations, actions and the replay's numbers must agree.

    Args:
        agent: The agent to restore.
        path: The checkpoint file.
        replay: The replay to fill, which nobody may use meanwhile; None to leave it unchanged.
        own: The run's settings; None without a run: the checkpoint's apply.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        CheckpointError: If it or its replay is damaged or does not fit; nothing has changed then.
    """
    path = Path(path)
    payload = checkpoint.read(path)
    run = _mapping(payload.get("run"))
    saved = _saved_settings(payload, run)
    told = {**saved, **_mapping(run.get("meaning"))}
    # Another observation explains why no shape fits.
    problems = (_other_meaning(told, own.meaning) if own else []) or agent.mismatches(payload)
    if problems:
        way_out = _way_out(saved, own.rest) if own else ""
        raise CheckpointError(f"{path}: does not fit: {'; '.join(problems)}{way_out}")
    link, lost = None, ""
    if replay is not None:
        link, lost = _find_replay(path, payload["replay"])
        if link:
            _restore_replay(replay, path.parent, link, saved)
    if own:
        payload = snapshot.with_settings(payload, own.agent)
    agent.restore(payload)  # it fits, so this cannot fail any more
    return Resumed(run, link, lost, _changes(saved, own.to_mapping()) if own else ())


def _saved_settings(payload: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's settings by dotted names; a converted one has only the agent's."""
    try:
        agent = AgentConfig.from_mapping(payload["config"]).to_mapping()
    except (KeyError, TypeError, ValueError):
        agent = {}  # `Algorithm.mismatches` reports it
    return flat({**_mapping(run.get("settings")), "agent": agent})


def _mapping(value: object) -> dict[str, Any]:
    """Return a value if it is a mapping, else an empty one: others write files, too."""
    return dict(value) if isinstance(value, Mapping) else {}


def _other_meaning(saved: Meaning, own: Meaning) -> list[str]:
    """Return where a file's networks differ in the meaning of observations and actions."""
    own = completed(own, saved) if own else own
    return differences(
        {name: saved[name] for name in own if name in saved},
        {name: value for name, value in own.items() if name in saved},
    )


def _changes(saved: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, ...]:
    """Describe the settings that differ from the saved ones, which may be the agent's alone."""
    agent_alone = all(name.startswith("agent.") for name in saved)
    names = [name for name in own if name in saved or not agent_alone]
    names += [name for name in saved if name not in own]
    told = ((name, *(given.get(name, _default(name)) for given in (own, saved))) for name in names)
    return tuple(f"{name} {new} (saved: {old})" for name, new, old in told if new != old)


def _default(name: str) -> object:
    """Return what a setting is that is left out: files leave out some of the agent's."""
    return getattr(AgentConfig, name.removeprefix("agent."), "none")


def _way_out(saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return advice to give the file's preset and configuration, if others were given; else ""."""
    named = ("preset", "config")
    asked = [f"{name} {saved[name]}" for name in named if saved.get(name)]
    if not asked or all(saved.get(name) == own.get(name) for name in named):
        return ""
    return f"; it was saved with {' and '.join(asked)}: give the same"


def _restore_replay(
    replay: Replay, folder: Path, link: ReplayLink, told: Mapping[str, Any]
) -> None:
    try:
        replay_file.restore(replay, folder, link, told)
    except MeaningError as error:
        way_out = f"give the settings that it was saved with, or move {link.file} away to go on"
        raise MeaningError(f"{error}; {way_out} without it") from None


def _find_replay(path: Path, described: Mapping[str, Any] | None) -> tuple[ReplayLink | None, str]:
    if described is None:
        return None, f"{path} was saved without its replay, experience is collected anew"
    link = ReplayLink.from_mapping(described)
    if not (path.parent / link.file).exists():
        return None, f"{path.parent / link.file} is not there, experience is collected anew"
    return link, ""
