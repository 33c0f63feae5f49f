# SPDX-License-Identifier: Apache-2.0
"""Keeping a GPU busy: data copied ahead of use, and updates launched as one CUDA graph."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from td3_driver.agent.networks import write_pixels
from td3_driver.agent.staging import (
    TensorBatch,
    draw_offsets,
    empty_pixels,
    shape_key,
    shifted_at_once,
)
from td3_driver.replay.batch import IMAGES, NUMBERS, Batch, Rows
from td3_driver.replay.buffer import Replay
from td3_driver.replay.shared_memory import ArrayType, packed

Step = Callable[[TensorBatch], dict[str, Tensor]]

_WARM_UPS = 3  # calls before recording, in which libraries choose kernels and allocate memory


class Parcel:
    """Small arrays that are copied to a device in one go, without waiting for its work.

    Args:
        arrays: Shapes and types by name.
        device: The device to copy to.

    Attributes:
        here: Arrays on the CPU to write into, after `open`.
        there: Tensors on the device, filled by `send`.
    """

    def __init__(self, arrays: Mapping[str, ArrayType], device: torch.device) -> None:
        offsets, size = packed(arrays)
        on_cuda = device.type == "cuda"
        self._device = device
        self._source = torch.empty(size, dtype=torch.uint8, pin_memory=on_cuda)
        self._target = torch.empty(size, dtype=torch.uint8, device=device)
        self._sent = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]
        self.here: dict[str, npt.NDArray[np.generic]] = {}
        self.there: dict[str, Tensor] = {}
        for name, (shape, dtype) in arrays.items():
            piece = slice(offsets[name], offsets[name] + np.empty(shape, dtype).nbytes)
            self.here[name] = self._source[piece].numpy().view(dtype).reshape(shape)
            kind = torch.from_numpy(self.here[name]).dtype
            self.there[name] = self._target[piece].view(kind).view(shape)

    def open(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return `here`, once the last copy has left it."""
        if self._sent:
            self._sent.synchronize()
        return self.here

    def send(self) -> dict[str, Tensor]:
        """Start the copy and return `there`."""
        self._target.copy_(self._source, non_blocking=True)
        if self._sent:
            self._sent.record(torch.cuda.current_stream(self._device))
        return self.there


class DeviceFrames:
    """A copy of a replay's frames on a device, kept up to date as rows are written.

    A batch of 256 takes its 14 MB of images from it, and only numbers cross the bus. The check by
    which `Replay.sample` rejects overwritten rows covers this copy, too.

    Args:
        replay: A replay with images.
        device: The device to keep them on.
    """

    def __init__(self, replay: Replay, device: torch.device) -> None:
        self.replay = replay
        frames = replay.frames
        self._source = None if frames is None else torch.from_numpy(frames)
        self._frames = torch.empty(
            () if self._source is None else self._source.shape, dtype=torch.uint8, device=device
        )
        self._followed = 0  # rows copied
        self._slots = Parcel({"slots": ((0, 0), np.int64)}, device)

    def take(self, slots: Rows) -> Tensor:
        """Return the frames of (B, N) slots as (B, N, [channels,] H, W) uint8 on the device."""
        self._follow()
        if self._slots.here["slots"].shape != slots.shape:
            self._slots = Parcel({"slots": (slots.shape, np.int64)}, self._frames.device)
        self._slots.open()["slots"][...] = slots
        return self._frames[self._slots.send()["slots"]]

    def _follow(self) -> None:
        """Copy the rows written since the last call, in one or two pieces of the ring."""
        assert self._source is not None
        written, capacity = self.replay.rows_written, self.replay.capacity
        row = max(self._followed, written - capacity)
        while row < written:
            start = row % capacity
            count = min(written - row, capacity - start)
            piece = slice(start, start + count)
            self._frames[piece].copy_(self._source[piece], non_blocking=True)
            row += count
        self._followed = written


class DeviceStaging:
    """`Staging` for a device: always the same tensors, as a graph reads where it was recorded.

    All numbers of a batch are copied in one go; the device converts bytes to pixels.

    Args:
        device: Device of the tensors.
        noises: As of `Staging`.
    """

    def __init__(self, device: torch.device, noises: int = 1) -> None:
        self._device, self._noises = device, noises
        self._key: tuple[object, ...] | None = None

    def fill(
        self,
        batch: Batch,
        dtype: torch.dtype,
        shift: int,
        generator: torch.Generator,
        pixels: torch.dtype | None = None,
    ) -> TensorBatch:
        """Fill the tensors as `Staging.fill` does, with the same draws for the same generator."""
        key = (*shape_key(batch, dtype), shift, pixels)
        if key != self._key:
            self._prepare(batch, dtype, shift, pixels or dtype)
            self._key = key
        here = self._parcel.open()
        if batch.images is not None:
            for index, source in enumerate((batch.images, batch.next_images)):
                self._bytes[index].copy_(torch.as_tensor(source))
                if shift:
                    offsets = draw_offsets(len(batch.images), shift, generator)
                    here["offsets"][index] = offsets.numpy()
        for name in NUMBERS:
            here[name][...] = getattr(batch, name)
        torch.from_numpy(here["noise"]).normal_(generator=generator)
        self._parcel.send()
        if batch.images is not None:
            self._convert(self._data)
        return self._data

    def _prepare(
        self, batch: Batch, dtype: torch.dtype, shift: int, pixels: torch.dtype
    ) -> None:
        size, kind = len(batch.vectors), torch.empty((), dtype=dtype).numpy().dtype
        arrays: dict[str, ArrayType] = {
            name: (getattr(batch, name).shape, kind) for name in NUMBERS
        }
        arrays["noise"] = ((self._noises, *batch.actions.shape), kind)
        arrays["offsets"] = ((2, 2, size), np.int64)
        self._parcel = Parcel(arrays, self._device)
        there = self._parcel.there
        numbers = {name: there[name] for name in (*NUMBERS, "noise")}
        numbers["following"] = torch.empty_like(there["actions"])
        self._data = TensorBatch(*empty_pixels(batch, pixels, self._device), **numbers)
        shape = (2, *(batch.images.shape if batch.images is not None else (0,)))
        self._bytes = torch.empty(shape, dtype=torch.uint8, device=self._device)

        def convert(data: TensorBatch) -> dict[str, Tensor]:
            for name, images, offsets in zip(IMAGES, self._bytes, there["offsets"], strict=True):
                moved = shifted_at_once(images, shift, offsets) if shift else images
                write_pixels(moved, getattr(data, name))
            return {}

        self._convert = recorded(convert, self._device)


class SideStream:
    """A second stream, by which a GPU can do two things at once; elsewhere they run in turn.

    Args:
        device: The GPU, or the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        on_cuda = device.type == "cuda"
        self._device = device
        self._stream = torch.cuda.Stream(device) if on_cuda else None  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Within, launch work that may overlap with work launched after it, until `join`."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            yield

    def join(self) -> None:
        """Let work launched from here on wait for the results."""
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)


def recorded(
    step: Step, device: torch.device, optimizers: Sequence[torch.optim.Optimizer | None] = ()
) -> Step:
    """Wrap a part of an update as one graph on CUDA; return it unchanged on other devices.

    Args:
        step: Function that reads the batch and the agent's tensors, and writes the latter in
            place.
        device: The device that it computes on.
        optimizers: The optimizers that `step` uses, None for an absent network.
    """
    on_cuda = device.type == "cuda"
    for optimizer in optimizers:
        for group in optimizer.param_groups if optimizer else ():
            # Not at construction, as a checkpoint of another device overwrites the value.
            group["capturable"] = on_cuda
    return _RecordedStep(step, device) if on_cuda else step


class _RecordedStep:
    """A part of an update that is recorded once and then replayed as one graph.

    Every call is one real step: the first ones run directly, since recording alone computes
    nothing. A batch in other tensors makes it record anew.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step = step
        self._device = device
        self._data: TensorBatch | None = None
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: dict[str, Tensor] = {}

    def __call__(self, data: TensorBatch) -> dict[str, Tensor]:
        """Make one step; the next step overwrites the results."""
        with torch.cuda.device(self._device):  # also if the process's current device is another
            return self._recorded(data)

    def _recorded(self, data: TensorBatch) -> dict[str, Tensor]:
        if data is not self._data:
            self._data, self._calls, self._graph = data, 0, None
        self._calls += 1
        if self._calls <= _WARM_UPS:
            return self._warm_up(data)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            # torch's default stream for this belongs to the device that recorded first.
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            # A former agent's graph that is collected meanwhile would spoil the recording.
            with _tuned(), _uncollected(), torch.cuda.graph(self._graph, stream=stream):
                self._outputs = self._step(data)
        self._graph.replay()
        return self._outputs

    def _warm_up(self, data: TensorBatch) -> dict[str, Tensor]:
        """Run a step on a stream of its own, as recording demands."""
        current = torch.cuda.current_stream(self._device)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with _tuned(), torch.cuda.stream(side):
            outputs = self._step(data)
        current.wait_stream(side)
        return outputs


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Within, no garbage is collected."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _tuned() -> Iterator[None]:
    """Within, cuDNN chooses convolutions by trial, and matrix products may use TF32, too."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
