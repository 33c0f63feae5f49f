# SPDX-License-Identifier: Apache-2.0
"""A run's state as a whole, checkpoint and replay together: saved, and resumed or left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from td3_driver.agent import checkpoint, replay_file, snapshot
from td3_driver.agent.checkpoint import CheckpointError
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.replay import Replay
from td3_driver.agent.replay_log import ReplayLink
from td3_driver.agent.td3 import TD3Agent


@dataclass(frozen=True)
class Resumed:
    """What a load did.

    Attributes:
        run: The caller's data, as it was saved.
        link: Of the replay that was restored, to be passed to the next `save`; None without.
        lost: What the file could not give back, in one sentence; "" if nothing.
        changed: Which of its learning settings apply no longer, as "name new (saved: old)".
    """

    run: dict[str, Any]
    link: ReplayLink | None
    lost: str
    changed: tuple[str, ...] = ()


def save(
    agent: TD3Agent,
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
    agent: TD3Agent,
    path: str | Path,
    replay: Replay | None = None,
    config: AgentConfig | None = None,
) -> Resumed:
    """Go back to a checkpoint, and to its replay if one is given to be filled.

    Args:
        agent: To be restored.
        path: The checkpoint.
        replay: To be filled; nobody may use it meanwhile. None leaves experience as it is.
        config: Settings to go on with; None: the checkpoint's.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        CheckpointError: If it or its replay is damaged or does not fit; nothing has changed then.
    """
    path = Path(path)
    payload = checkpoint.read(path)
    problems = snapshot.mismatches(agent, payload)
    if problems:
        raise CheckpointError(f"{path}: does not fit this agent: {'; '.join(problems)}")
    link, lost = None, ""
    if replay is not None:
        link, lost = _find_replay(path, payload["replay"])
        if link:
            replay_file.restore(replay, path.parent, link)
    changed = _changes(payload, config) if config else ()
    if config and changed:
        payload = snapshot.with_settings(payload, config)
    agent.restore(payload)  # it fits, so this cannot fail any more
    return Resumed(dict(payload.get("run") or {}), link, lost, changed)


def _changes(payload: Mapping[str, Any], config: AgentConfig) -> tuple[str, ...]:
    """The settings that are not as saved, in words."""
    saved = AgentConfig.from_mapping(payload["config"]).to_mapping()
    return tuple(
        f"{name} {value} (saved: {saved[name]})"
        for name, value in config.to_mapping().items()
        if value != saved[name]
    )


def _find_replay(path: Path, described: Mapping[str, Any] | None) -> tuple[ReplayLink | None, str]:
    if described is None:
        return None, f"{path} was saved without its replay, experience is collected anew"
    link = ReplayLink.from_mapping(described)
    if not (path.parent / link.file).exists():
        return None, f"{path.parent / link.file} is not there, experience is collected anew"
    return link, ""
