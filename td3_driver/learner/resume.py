# SPDX-License-Identifier: Apache-2.0
"""A run's state as a whole, checkpoint and replay together: saved, and resumed or left alone."""

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
from td3_driver.replay.meaning import Meaning, MeaningError, differences, flat


@dataclass(frozen=True)
class RunSettings:
    """What a run goes on with, whichever file it loads: a file gives its state, never a setting.

    Attributes:
        agent: networks and learning.
        meaning: what its networks see and do; networks of another meaning are refused.
        rest: its other settings, plain and nested, as they stand in its checkpoints under
            `run.settings`; those of a file that differ are told.
    """

    agent: AgentConfig
    meaning: Meaning = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """All settings by dotted names."""
        return flat({**self.rest, "agent": self.agent.to_mapping()})


@dataclass(frozen=True)
class Resumed:
    """What a load did.

    Attributes:
        run: The caller's data, as it was saved.
        link: Of the replay that was restored, to be passed to the next `save`; None without.
        lost: What the file could not give back, in one sentence; "" if nothing.
        changed: Which of its settings apply no longer, as "name new (saved: old)".
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
    """Write a checkpoint, before it the replay if one is given, and move `latest.pth` to it.

    Args:
        agent: Whose state.
        path: `td3_<step>.pth`.
        run: Plain data of the caller's to keep along with it.
        replay: To be saved too, as `td3_<step>.replay`.
        rows: How many of its rows, see `replay_file.save`.
        previous: What the last `save` or `load` returned.

    Returns:
        For the next save's `previous`; None without a replay.

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
    """What `save` does once the agent's state is copied; may run beside the training.

    `publish`: move `latest.pth` beside the file to it.
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
    """Go back to a checkpoint, and to its replay if one is given to be filled.

    The state is the file's. The settings are the run's, where there is one, else the file's. The
    networks' shapes, what they see and do, and what the replay's numbers mean must agree.

    Args:
        agent: To be restored.
        path: The checkpoint.
        replay: To be filled; nobody may use it meanwhile. None leaves experience as it is.
        own: The run's settings; None: there is no run, and the checkpoint's apply.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        CheckpointError: If it or its replay is damaged or does not fit; nothing has changed then.
    """
    path = Path(path)
    payload = checkpoint.read(path)
    run = _mapping(payload.get("run"))
    saved = _saved_settings(payload, run)
    problems = agent.mismatches(payload)
    if own:
        problems += _other_meaning({**saved, **_mapping(run.get("meaning"))}, own.meaning)
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
    """A checkpoint's settings by dotted names; a converted one has the agent's alone."""
    try:
        agent = AgentConfig.from_mapping(payload["config"]).to_mapping()
    except (KeyError, TypeError, ValueError):
        agent = {}  # `Algorithm.mismatches` says so
    return flat({**_mapping(run.get("settings")), "agent": agent})


def _mapping(value: object) -> dict[str, Any]:
    """What a file should hold, or nothing: others write files too."""
    return dict(value) if isinstance(value, Mapping) else {}


def _other_meaning(saved: Meaning, own: Meaning) -> list[str]:
    """In what networks see and do something else, as far as their file says it."""
    return differences(
        {name: saved[name] for name in own if name in saved},
        {name: value for name, value in own.items() if name in saved},
    )


def _changes(saved: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that are not as saved, in words; a file may hold the agent's alone."""
    agent_alone = all(name.startswith("agent.") for name in saved)
    names = [name for name in own if name in saved or not agent_alone]
    names += [name for name in saved if name not in own]
    told = ((name, own.get(name, "none"), saved.get(name, "none")) for name in names)
    return tuple(f"{name} {new} (saved: {old})" for name, new, old in told if new != old)


def _way_out(saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Where other settings were asked for than the file's, which."""
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
