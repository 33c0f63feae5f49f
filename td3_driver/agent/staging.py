# SPDX-License-Identifier: Apache-2.0
"""A batch of n-step transitions, as the networks take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from td3_driver.agent.augmentation import random_shift
from td3_driver.agent.networks import write_pixels
from td3_driver.replay.batch import IMAGES, NUMBERS, Batch


@dataclass(frozen=True)
class TensorBatch:
    """A `Batch` as tensors of the networks' device and dtype; images are in [-1, 1].

    Attributes:
        noise: (N, B, A), standard normal, for whatever is drawn in an update.
        following: (B, A), pi'(s') k steps later, from the critic's update on; the actor's uses
            it again.
    """

    images: Tensor | None
    next_images: Tensor | None
    vectors: Tensor
    actions: Tensor
    returns: Tensor
    bootstrap: Tensor
    next_vectors: Tensor
    noise: Tensor
    following: Tensor


class Staging:
    """Tensors that every batch of the same shape is put into, the same ones each time.

    Fresh ones of this size cost more in page faults than the conversion does.

    Args:
        noises: N of `TensorBatch.noise`.
    """

    def __init__(self, noises: int = 1) -> None:
        self._noises = noises
        self._key: tuple[object, ...] | None = None
        self._data: TensorBatch | None = None

    def fill(
        self, batch: Batch, dtype: torch.dtype, shift: int, generator: torch.Generator
    ) -> TensorBatch:
        """Convert a batch's bytes and numbers once, for all networks that look.

        Args:
            batch: What to convert.
            dtype: Of the result.
            shift: Largest random image shift in pixels; 0 for none.
            generator: Where the shifts come from, different ones for images and next images,
                and then the noise; a CPU generator.

        Returns:
            The same object as the last time if the shapes are; valid until the next call.
        """
        key = shape_key(batch, dtype)
        if self._data is None or key != self._key:
            self._data, self._key = self._empty(batch, dtype), key
        data = self._data
        for name in IMAGES:
            source, pixels = getattr(batch, name), getattr(data, name)
            if source is not None:
                images = torch.as_tensor(source)
                write_pixels(random_shift(images, shift, generator) if shift else images, pixels)
        for name in NUMBERS:
            getattr(data, name).copy_(torch.from_numpy(getattr(batch, name)))
        data.noise.normal_(generator=generator)
        return data

    def _empty(self, batch: Batch, dtype: torch.dtype) -> TensorBatch:
        shapes = {name: getattr(batch, name).shape for name in NUMBERS}
        shapes["noise"] = (self._noises, *batch.actions.shape)
        shapes["following"] = batch.actions.shape
        numbers = {name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()}
        return TensorBatch(*empty_pixels(batch, dtype, torch.device("cpu")), **numbers)


def shape_key(batch: Batch, dtype: torch.dtype) -> tuple[object, ...]:
    """Equal for batches whose tensors are of the same shapes and type."""
    return dtype, batch.images is None, batch.vectors.shape, batch.actions.shape


def empty_pixels(
    batch: Batch, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """`images` and `next_images` of a `TensorBatch` to be filled, channels last."""
    if batch.images is None:
        return None, None
    like = torch.empty(
        batch.images.shape, dtype=dtype, device=device, memory_format=torch.channels_last
    )
    return like, torch.empty_like(like)
