# SPDX-License-Identifier: Apache-2.0
"""The measures of an update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class Measures(Mapping[str, float]):
    """Numbers by name that stay on their device until one is read.

    Reading waits until the device has computed them, and fetches all at once. To keep the device
    busy, start the next update before reading.

    Args:
        values: Scalars by name; copied.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._names = tuple(values)
        self._values = torch.stack([*values.values()])
        self._read: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        if self._read is None:
            self._read = dict(zip(self._names, self._values.tolist(), strict=True))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
