# SPDX-License-Identifier: Apache-2.0
"""Network weights passed from the learner's process to the driver's, without locks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3_driver.replay.shared_memory import SharedBlock, fence

_HEADER_BYTES = 64  # one cache line, whose first eight bytes are the version
_ATTEMPTS = 8


class SharedWeights:
    """The newest weights in shared memory, for one writer and one reader.

    Two slots: version v lies in slot v % 2, so the writer never touches the slot that holds the
    current version. A reader's copy is whole if the version is still the same after copying.

    Args:
        count: Number of float32 values.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._attach(SharedBlock(_HEADER_BYTES + 2 * 4 * count))

    def _attach(self, block: SharedBlock) -> None:
        self._block = block
        self._version = block.array(0, (1,), np.int64)
        self._slots = block.array(_HEADER_BYTES, (2, self.count), np.float32)

    def __getstate__(self) -> tuple[int, SharedBlock]:
        return self.count, self._block

    def __setstate__(self, state: tuple[int, SharedBlock]) -> None:
        self.count, block = state
        self._attach(block)

    @property
    def version(self) -> int:
        """The number of the newest weights; 0 before the first `publish`."""
        return int(self._version[0])

    def publish(self, values: npt.NDArray[np.float32]) -> int:
        """Publish (count,) float32 values as the newest weights; return their version.

        Raises:
            ValueError: If the shape is not (count,).
        """
        if values.shape != (self.count,):
            raise ValueError(f"values: shape {values.shape} is not ({self.count},)")
        version = self.version + 1
        self._slots[version % 2] = values
        fence()
        self._version[0] = version
        fence()  # the next publish must not write the other slot before readers see this version
        return version

    def read_exactly(self, version: int) -> npt.NDArray[np.float32] | None:
        """Return a copy of the weights of a version: the newest, or the one before.

        Unlike `read` it needs a writer that is not publishing the next but one meanwhile.

        Returns:
            (count,) values, or None where there are no such weights, or no longer.
        """
        if not 0 <= self.version - version <= 1:
            return None
        fence()
        values: npt.NDArray[np.float32] = self._slots[version % 2].copy()
        fence()
        return values if self.version - version <= 1 else None

    def read(self, last_version: int) -> tuple[int, npt.NDArray[np.float32]] | None:
        """Return the newest weights if they are newer than `last_version`.

        Returns:
            (version, a copy of the values), or None where there is nothing newer, or where the
            writer published during every attempt to copy: then the next call gets newer ones.
        """
        for _ in range(_ATTEMPTS):
            version = self.version
            if version <= last_version:
                return None
            fence()
            values = self._slots[version % 2].copy()
            fence()
            if self.version == version:
                return version, values
        return None
