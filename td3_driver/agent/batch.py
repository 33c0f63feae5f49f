# SPDX-License-Identifier: Apache-2.0
"""A batch of n-step transitions: as replay gives it, and as the networks take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from td3_driver.agent.augmentation import random_shift
from td3_driver.agent.networks import to_pixels


@dataclass(frozen=True)
class Batch:
    """B transitions over k <= n steps each.

    Attributes:
        images: (B, C, H, W) uint8, oldest frame first; None without images.
        vectors: (B, V) float32.
        actions: (B, A) float32, the actions that were executed.
        returns: (B,) float32, r_0 + discount * r_1 + ... over the k steps.
        bootstrap: (B,) float32, discount^k, or 0 where the k steps end in a termination.
        next_images: Like images, k steps later; the episode's own last frames at its end.
        next_vectors: Like vectors, k steps later.
    """

    images: npt.NDArray[np.uint8] | None
    vectors: npt.NDArray[np.float32]
    actions: npt.NDArray[np.float32]
    returns: npt.NDArray[np.float32]
    bootstrap: npt.NDArray[np.float32]
    next_images: npt.NDArray[np.uint8] | None
    next_vectors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorBatch:
    """A `Batch` as tensors of the networks' device and dtype; images are in [-1, 1]."""

    images: Tensor | None
    vectors: Tensor
    actions: Tensor
    returns: Tensor
    bootstrap: Tensor
    next_images: Tensor | None
    next_vectors: Tensor


def to_tensors(
    batch: Batch,
    device: torch.device,
    dtype: torch.dtype,
    shift: int,
    generator: torch.Generator,
) -> TensorBatch:
    """Move a batch to the device and convert its bytes once, for all networks that look at it.

    Args:
        batch: What to convert.
        device: Of the result.
        dtype: Of the result.
        shift: Largest random image shift in pixels; 0 for none.
        generator: Where the shifts come from, different ones for images and next images.
    """

    def numbers(array: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(device, dtype)

    def pixels(array: npt.NDArray[np.uint8] | None) -> Tensor | None:
        if array is None:
            return None
        images = torch.from_numpy(array).to(device)
        if shift:
            images = random_shift(images, shift, generator)
        return to_pixels(images, dtype)

    return TensorBatch(
        images=pixels(batch.images),
        vectors=numbers(batch.vectors),
        actions=numbers(batch.actions),
        returns=numbers(batch.returns),
        bootstrap=numbers(batch.bootstrap),
        next_images=pixels(batch.next_images),
        next_vectors=numbers(batch.next_vectors),
    )
