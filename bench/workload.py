# SPDX-License-Identifier: Apache-2.0
"""What is measured: a preset's networks, and experience of the size that the driver stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from td3_driver.agent import AgentConfig, Replay, TD3Agent
from td3_driver.driving.roles import DrivingConfig

PRESETS = ("origin", "default")
BATCH_SIZES = (32, 64, 256)
IMAGE, VECTOR, ACTION = DrivingConfig().spaces.row
EPISODE = 200  # steps; every second episode ends in a termination
_PRESET_DIR = Path(__file__).resolve().parent.parent / "config" / "presets"


@dataclass(frozen=True)
class Step:
    """One environment step with full stacks, as a peer's buffer stores it."""

    image: npt.NDArray[np.uint8]
    vector: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]
    reward: float
    next_image: npt.NDArray[np.uint8]
    next_vector: npt.NDArray[np.float32]
    terminated: bool
    truncated: bool
    first: bool


def preset(name: str) -> AgentConfig:
    """The agent's settings in config/presets; read directly, for that needs no ROS here."""
    text = (_PRESET_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    return AgentConfig.from_mapping(yaml.safe_load(text)["agent"])


def our_agent(config: AgentConfig, device: str = "cpu") -> TD3Agent:
    """Our agent for the workload's observations."""
    return TD3Agent(config.cnn_features + VECTOR, ACTION, config=config, device=device)


def steps(count: int, seed: int = 0) -> Iterator[Step]:
    """Random experience; the same for the same seed."""
    rng = np.random.default_rng(seed)
    stack, vector = _start(rng)
    for index in range(count):
        place = index % EPISODE
        if index and place == 0:
            stack, vector = _start(rng)
        next_stack = np.concatenate((stack[1:], _frame(rng)[None]))
        next_vector = rng.standard_normal(VECTOR, dtype=np.float32)
        end = place == EPISODE - 1
        terminated = end and index // EPISODE % 2 == 0
        yield Step(
            image=stack,
            vector=vector,
            action=rng.uniform(-1.0, 1.0, ACTION).astype(np.float32),
            reward=float(rng.normal()),
            next_image=next_stack,
            next_vector=next_vector,
            terminated=terminated,
            truncated=end and not terminated,
            first=place == 0,
        )
        stack, vector = next_stack, next_vector


def _frame(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return rng.integers(0, 256, IMAGE[1:], dtype=np.uint8)


def _start(
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    stack = np.repeat(_frame(rng)[None], IMAGE[0], axis=0)
    return stack, rng.standard_normal(VECTOR, dtype=np.float32)


def our_replay(capacity: int, count: int, file: Path | None = None) -> Replay:
    """Our buffer with `count` steps of the workload in it."""
    replay = Replay(capacity, IMAGE, VECTOR, ACTION, file=file)
    for step in steps(count):
        if step.first:
            replay.begin(step.image[-1], step.vector)
        replay.add(
            step.action,
            step.reward,
            step.next_image[-1],
            step.next_vector,
            step.terminated,
            step.truncated,
        )
    return replay
