# SPDX-License-Identifier: Apache-2.0
"""A batch of n-step transitions, as `Replay.sample` returns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

IMAGES = ("images", "next_images")  # shifts are drawn in this order
NUMBERS = ("vectors", "actions", "returns", "bootstrap", "next_vectors", "shown")

Rows = npt.NDArray[np.int64]


class FrameSource(Protocol):
    """Takes (B, N) slots of a replay, gives their (B, N, [channels,] H, W) uint8 frames."""

    def take(self, slots: Rows) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """B transitions over k <= n steps each.

    Attributes:
        images: (B, C, H, W) uint8, oldest frame first; None without images. A tensor where
            frames are kept on the device (`DeviceFrames`).
        vectors: (B, V) float32.
        actions: (B, A) float32, the actions that were executed.
        returns: (B,) float32, r_0 + discount * r_1 + ... over the k steps.
        bootstrap: (B,) float32, discount^k, or 0 where the k steps end in a termination.
        next_images: Like images, k steps later; the episode's own last frames at its end.
        next_vectors: Like vectors, k steps later.
        shown: (B,) float32, 1 where somebody showed the action: a human who intervened, or a
            demonstration; else 0.
    """

    images: npt.NDArray[np.uint8] | Tensor | None
    vectors: npt.NDArray[np.float32]
    actions: npt.NDArray[np.float32]
    returns: npt.NDArray[np.float32]
    bootstrap: npt.NDArray[np.float32]
    next_images: npt.NDArray[np.uint8] | Tensor | None
    next_vectors: npt.NDArray[np.float32]
    shown: npt.NDArray[np.float32]
