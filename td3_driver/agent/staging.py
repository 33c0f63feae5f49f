# SPDX-License-Identifier: Apache-2.0
"""A batch of n-step transitions as tensors for the networks, its images shifted at random.

The shifts are those of DrQ (Kostrikov, Yarats and Fergus 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from td3_driver.agent.networks import write_pixels
from td3_driver.replay.batch import IMAGES, NUMBERS, Batch


@dataclass(frozen=True)
class TensorBatch:
    """A `Batch` as tensors of the networks' device and dtype; images are in [-1, 1].

    Images may be bfloat16 besides, for the CNNs to compute in.

    Attributes:
        noise: (N, B, A), standard normal, for all random draws of an update.
        following: (B, A), the target actor's actions at the end of the returns (SAC: the policy's
            mean); set by the critic's update and used again by the actor's.
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
    shown: Tensor


class Staging:
    """Tensors that are filled with one batch after another of the same shape.

    New tensors of this size would cost more in page faults than the conversion does.

    Args:
        noises: N of `TensorBatch.noise`.
    """

    def __init__(self, noises: int = 1) -> None:
        self._noises = noises
        self._key: tuple[object, ...] | None = None
        self._data: TensorBatch | None = None
        self._exact: Tensor | None = None  # pixels before they are rounded

    def fill(
        self,
        batch: Batch,
        dtype: torch.dtype,
        shift: int,
        generator: torch.Generator,
        pixels: torch.dtype | None = None,
    ) -> TensorBatch:
        """Convert a batch's bytes and numbers once, for all networks.

        Args:
            batch: The batch.
            dtype: dtype of the result.
            shift: Largest random image shift in pixels; 0 for none.
            generator: A CPU generator of the shifts, which differ between images and next images,
                and then of the noise.
            pixels: dtype of the images, if another.

        Returns:
            The same object as last time if the shapes are the same; valid until the next call.
        """
        key = (*shape_key(batch, dtype), pixels)
        if self._data is None or key != self._key:
            self._data, self._key = self._empty(batch, dtype, pixels or dtype), key
        data = self._data
        for name in IMAGES:
            source, target = getattr(batch, name), getattr(data, name)
            if source is not None:
                images = torch.as_tensor(source)
                moved = random_shift(images, shift, generator) if shift else images
                if self._exact is None:
                    write_pixels(moved, target)
                else:  # rounded once, at the end
                    target.copy_(write_pixels(moved, self._exact))
        for name in NUMBERS:
            getattr(data, name).copy_(torch.from_numpy(getattr(batch, name)))
        data.noise.normal_(generator=generator)
        return data

    def _empty(self, batch: Batch, dtype: torch.dtype, pixels: torch.dtype) -> TensorBatch:
        shapes = {name: getattr(batch, name).shape for name in NUMBERS}
        shapes["noise"] = (self._noises, *batch.actions.shape)
        shapes["following"] = batch.actions.shape
        numbers = {name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()}
        cpu = torch.device("cpu")
        self._exact = None if pixels == dtype else empty_pixels(batch, dtype, cpu)[0]
        return TensorBatch(*empty_pixels(batch, pixels, cpu), **numbers)


def pixels_of(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type in which a batch's pixels are, and its CNNs compute; None: the weights' own.

    Args:
        precision: A setting of `AgentConfig`. "auto" is bfloat16 where the CPU multiplies it in
            hardware, else float32: without, it is slower. Weights and driving stay float32.
        device: The device that learns.
    """
    if precision == "auto":
        precision = "bf16" if device.type == "cpu" and _cpu_has_bf16() else "float32"
    return torch.bfloat16 if precision == "bf16" else None


def _cpu_has_bf16() -> bool:
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def shape_key(batch: Batch, dtype: torch.dtype) -> tuple[object, ...]:
    """Return a key that is equal for batches whose tensors have the same shapes and type."""
    return dtype, batch.images is None, batch.vectors.shape, batch.actions.shape


def empty_pixels(
    batch: Batch, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Return empty `images` and `next_images` of a `TensorBatch`, channels last."""
    if batch.images is None:
        return None, None
    like = torch.empty(
        batch.images.shape, dtype=dtype, device=device, memory_format=torch.channels_last
    )
    return like, torch.empty_like(like)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each sample by up to `pixels` in both directions, repeating the edge.

    Args:
        images: (B, C, H, W), any dtype, on the CPU; all channels of a sample move together.
        pixels: Largest shift, inclusive.
        generator: A CPU generator, from which two numbers per sample are drawn.

    Returns:
        (B, C, H, W), like `images`.
    """
    offsets = draw_offsets(len(images), pixels, generator)
    # One copy per sample is five to eight times as fast as one gather, which works by elements.
    height, width = images.shape[2:]
    padded = _with_edges(images.numpy(), pixels)
    shifted = np.empty_like(padded, shape=images.shape)
    for index, (row, column) in enumerate(offsets.T.tolist()):
        shifted[index] = padded[index, :, row : row + height, column : column + width]
    return torch.from_numpy(shifted)


def _with_edges(images: npt.NDArray[Any], pixels: int) -> npt.NDArray[Any]:
    """Repeat the edges of (B, C, H, W) images outwards; a fifth of the time of np.pad."""
    batch, channels, height, width = images.shape
    shape = (batch, channels, height + 2 * pixels, width + 2 * pixels)
    padded = np.empty_like(images, shape=shape)
    inner = padded[:, :, pixels : pixels + height]
    inner[..., pixels : pixels + width] = images
    inner[..., :pixels] = images[..., :1]
    inner[..., pixels + width :] = images[..., -1:]
    padded[:, :, :pixels] = inner[:, :, :1]
    padded[:, :, pixels + height :] = inner[:, :, -1:]
    return padded


def draw_offsets(batch: int, pixels: int, generator: torch.Generator) -> Tensor:
    """Return (2, B) int64 rows and columns at which crops of images padded by `pixels` begin."""
    return torch.randint(2 * pixels + 1, (2, batch), generator=generator)


def shifted_at_once(images: Tensor, pixels: int, offsets: Tensor) -> Tensor:
    """Shift by given offsets in one gather: a loop would keep a device waiting."""
    batch, channels, height, width = images.shape

    def places(begin: Tensor, size: int) -> Tensor:
        steps = torch.arange(-pixels, size - pixels, device=images.device)
        return (begin[:, None] + steps).clamp_(0, size - 1)

    rows, columns = places(offsets[0], height), places(offsets[1], width)
    samples = torch.arange(batch, device=images.device)[:, None, None, None]
    stack = torch.arange(channels, device=images.device)[:, None, None]
    return images[samples, stack, rows[:, None, :, None], columns[:, None, None, :]]
