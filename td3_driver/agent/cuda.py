# SPDX-License-Identifier: Apache-2.0
"""What a GPU needs to be kept busy: frames that are there already, and updates as one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from td3_driver.agent.batch import Rows, TensorBatch
from td3_driver.agent.replay import Replay

Step = Callable[[TensorBatch], dict[str, Tensor]]

_WARM_UPS = 3  # calls before recording, in which libraries choose and allocate what they keep


class DeviceFrames:
    """A copy of a replay's frames on a device, kept up to date as rows are written.

    A batch of 256 then takes its 14 MB of images from there, and only numbers cross the bus.
    `Replay.sample` rejects overwritten rows, and by the same check those overwritten here.

    Args:
        replay: With images.
        device: Where to keep them.
    """

    def __init__(self, replay: Replay, device: torch.device) -> None:
        self.replay = replay
        frames = replay.frames
        self._source = None if frames is None else torch.from_numpy(frames)
        self._frames = torch.empty(
            () if self._source is None else self._source.shape, dtype=torch.uint8, device=device
        )
        self._followed = 0  # rows copied

    def take(self, slots: Rows) -> Tensor:
        """(B, C) slots to (B, C, H, W) uint8 on the device."""
        self._follow()
        index = torch.from_numpy(slots).to(self._frames.device)
        return self._frames[index]

    def _follow(self) -> None:
        """Copy the rows written since, in one or two pieces of the ring."""
        assert self._source is not None
        written, capacity = self.replay.rows_written, self.replay.capacity
        row = max(self._followed, written - capacity)
        while row < written:
            start = row % capacity
            count = min(written - row, capacity - start)
            self._frames[start : start + count].copy_(self._source[start : start + count])
            row += count
        self._followed = written


class RecordedStep:
    """A part of an update; on CUDA it is recorded once and then replayed as one graph.

    Every call is one real step: the first ones run as they are, for recording alone computes
    nothing. It is recorded anew when the batch has moved to other tensors.

    Args:
        step: Reads the batch and the agent's own tensors, writes the latter in place.
        device: On others than CUDA, calls go straight to `step`.
        optimizers: Those that `step` uses, None where a network is absent.
    """

    def __init__(
        self,
        step: Step,
        device: torch.device,
        optimizers: Sequence[torch.optim.Optimizer | None],
    ) -> None:
        self._step = step
        self._records = device.type == "cuda"
        self._data: TensorBatch | None = None
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: dict[str, Tensor] = {}
        for optimizer in optimizers:
            for group in optimizer.param_groups if optimizer else ():
                # Here, not at construction: a checkpoint of another device brings its own value.
                group["capturable"] = self._records

    def __call__(self, data: TensorBatch) -> dict[str, Tensor]:
        """One step; on CUDA the results are overwritten by the next."""
        if not self._records:
            return self._step(data)
        if data is not self._data:
            self._data, self._calls, self._graph = data, 0, None
        self._calls += 1
        if self._calls <= _WARM_UPS:
            return self._warm_up(data)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._outputs = self._step(data)
        self._graph.replay()
        return self._outputs

    def _warm_up(self, data: TensorBatch) -> dict[str, Tensor]:
        """A step on a stream of its own, as recording demands."""
        current = torch.cuda.current_stream()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            outputs = self._step(data)
        current.wait_stream(side)
        return outputs
