# SPDX-License-Identifier: Apache-2.0
"""A small agent's sizes, and experience for it; importable in spawned processes too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from td3_driver.agent import Replay
from td3_driver.replay.batch import Batch

IMAGE = (4, 36, 36)
VECTOR = 5
ACTION = 2

# The smallest networks that still have every part.
SMALL: dict[str, Any] = {
    "conv_layers": [[4, 8, 4], [8, 4, 2]],
    "cnn_features": 16,
    "hidden_sizes": [24, 24],
    "image_size": 36,
    "batch_size": 8,
}


def fill(rows: int = 200, seed: int = 0) -> Replay:
    """A buffer of random episodes; the same rows for the same seed, in any process."""
    rng = np.random.default_rng(seed)
    replay = Replay(256, IMAGE, VECTOR, ACTION)

    def frame() -> np.ndarray:
        return rng.integers(0, 256, IMAGE[1:], dtype=np.uint8)

    replay.begin(frame(), rng.normal(size=VECTOR))
    while replay.rows_written < rows:
        end = rng.random() < 0.1
        terminated = bool(end and rng.random() < 0.5)
        replay.add(
            rng.uniform(-1, 1, ACTION),
            float(rng.normal()),
            frame(),
            rng.normal(size=VECTOR),
            terminated,
            bool(end and not terminated),
        )
        if end:
            replay.begin(frame(), rng.normal(size=VECTOR))
    return replay


def random_batch(rng: np.random.Generator, size: int = 4, vector: int = VECTOR) -> Batch:
    """A batch with terminal and bootstrapping transitions."""
    images = rng.integers(0, 256, (2, size, *IMAGE), dtype=np.uint8)
    vectors = rng.normal(size=(2, size, vector)).astype(np.float32)
    return Batch(
        images=images[0],
        vectors=vectors[0],
        actions=rng.uniform(-1, 1, (size, ACTION)).astype(np.float32),
        returns=rng.normal(size=size).astype(np.float32),
        bootstrap=np.where(np.arange(size) % 2, 0.0, 0.99).astype(np.float32),
        next_images=images[1],
        next_vectors=vectors[1],
        shown=np.zeros(size, np.float32),
    )


def same(one: Any, other: Any) -> bool:
    """Equality down to the last bit, types included."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping):
        if not isinstance(other, Mapping) or one.keys() != other.keys():
            return False
        return all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
