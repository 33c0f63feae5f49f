# SPDX-License-Identifier: Apache-2.0
"""A batch of n-step transitions: as replay gives it, and as the networks take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from td3_driver.agent.augmentation import random_shift
from td3_driver.agent.networks import write_pixels

_IMAGES = ("images", "next_images")  # shifts are drawn in this order
_NUMBERS = ("vectors", "actions", "returns", "bootstrap", "next_vectors")

Rows = npt.NDArray[np.int64]


class FrameSource(Protocol):
    """Takes (B, C) slots of a replay, gives their (B, C, H, W) uint8 frames."""

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
    """

    images: npt.NDArray[np.uint8] | Tensor | None
    vectors: npt.NDArray[np.float32]
    actions: npt.NDArray[np.float32]
    returns: npt.NDArray[np.float32]
    bootstrap: npt.NDArray[np.float32]
    next_images: npt.NDArray[np.uint8] | Tensor | None
    next_vectors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorBatch:
    """A `Batch` as tensors of the networks' device and dtype; images are in [-1, 1].

    Attributes:
        noise: (B, A), standard normal, for target policy smoothing.
        following: (B, A), pi'(s'), from the critic's update on; the actor's uses it again.
    """

    images: Tensor | None
    vectors: Tensor
    actions: Tensor
    returns: Tensor
    bootstrap: Tensor
    next_images: Tensor | None
    next_vectors: Tensor
    noise: Tensor
    following: Tensor


class Staging:
    """Tensors that every batch of the same shape is put into, the same ones each time.

    Fresh ones of this size cost more in page faults than the conversion does, and a recorded
    CUDA graph reads where it was recorded.

    Args:
        device: Of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._key: tuple[object, ...] | None = None
        self._data: TensorBatch | None = None

    def fill(
        self, batch: Batch, dtype: torch.dtype, shift: int, generator: torch.Generator
    ) -> TensorBatch:
        """Move a batch to the device and convert its bytes once, for all networks that look.

        Args:
            batch: What to convert.
            dtype: Of the result.
            shift: Largest random image shift in pixels; 0 for none.
            generator: Where the shifts come from, different ones for images and next images,
                and then the noise; a CPU generator.

        Returns:
            The same object as the last time if the shapes are; valid until the next call.
        """
        key = (dtype, batch.images is None, batch.vectors.shape, batch.actions.shape)
        if self._data is None or key != self._key:
            self._data, self._key = self._empty(batch, dtype), key
        data = self._data
        for name in _IMAGES:
            source, pixels = getattr(batch, name), getattr(data, name)
            if source is not None:
                images = torch.as_tensor(source).to(self._device)
                write_pixels(random_shift(images, shift, generator) if shift else images, pixels)
        for name in _NUMBERS:
            getattr(data, name).copy_(torch.from_numpy(getattr(batch, name)))
        data.noise.copy_(torch.randn(data.noise.shape, generator=generator, dtype=dtype))
        return data

    def _empty(self, batch: Batch, dtype: torch.dtype) -> TensorBatch:
        like: dict[str, Tensor | None] = dict.fromkeys(_IMAGES)
        for name in (*_IMAGES, *_NUMBERS):
            array = getattr(batch, name)
            if array is not None:
                layout = torch.channels_last if name in _IMAGES else torch.contiguous_format
                like[name] = self._tensor(array.shape, dtype, layout)
        for name in ("noise", "following"):
            like[name] = self._tensor(batch.actions.shape, dtype, torch.contiguous_format)
        return TensorBatch(**like)  # type: ignore[arg-type]

    def _tensor(
        self, shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format
    ) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self._device, memory_format=layout)
