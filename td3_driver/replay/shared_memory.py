# SPDX-License-Identifier: Apache-2.0
"""Memory that two processes share; the kernel frees it when both have ended."""

from __future__ import annotations

import math
import mmap
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ArrayType = tuple[tuple[int, ...], npt.DTypeLike]  # shape and dtype

_BARRIER = threading.Lock()
_ALIGNMENT = 64  # bytes, a cache line


def fence() -> None:
    """A memory barrier: this process's earlier loads and stores happen before its later ones.

    x86 keeps stores in order anyway; ARM does not, and Python has no memory barrier. Releasing
    a lock publishes what came before, and acquiring it again holds back what comes after.
    """
    for _ in range(2):
        with _BARRIER:
            continue


def packed(arrays: Mapping[str, ArrayType]) -> tuple[dict[str, int], int]:
    """Lay out arrays one after the other, aligned.

    Returns:
        The offset of every array, and the size of all of them, in bytes.
    """
    offsets: dict[str, int] = {}
    end = 0
    for name, (shape, dtype) in arrays.items():
        offsets[name] = end
        end += math.prod(shape) * np.dtype(dtype).itemsize
        end += -end % _ALIGNMENT
    return offsets, end


class SharedBlock:
    """A block of zeroed memory, shared with the `spawn` processes that it is passed to.

    It has no name in any file system, so nothing is left over however the processes end. Pages
    take no memory until they are written.

    Args:
        nbytes: Size.
        file: None for memory; a path for a block larger than memory, kept on that path's disk.
            The file must not exist, and its name is removed at once.

    Raises:
        ValueError: If `nbytes` is not positive.
        OSError: If the memory or the file cannot be had (FileExistsError: the file exists).
    """

    def __init__(self, nbytes: int, file: str | Path | None = None) -> None:
        if nbytes <= 0:
            raise ValueError(f"nbytes: {nbytes} is not a positive number of bytes")
        if file is None:
            descriptor = os.memfd_create("td3_driver", os.MFD_CLOEXEC)
        else:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(file, flags, 0o600)
            os.unlink(file)
        try:
            os.ftruncate(descriptor, nbytes)
        except OSError:
            os.close(descriptor)
            raise
        self._map(descriptor, nbytes)

    def _map(self, descriptor: int, nbytes: int) -> None:
        self.nbytes = nbytes
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._memory = mmap.mmap(descriptor, nbytes)

    def array(self, offset: int, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A view of the block; writes to it are seen by every process.

        Args:
            offset: In bytes from the block's start.
            shape: Of the view.
            dtype: Of the view.

        Raises:
            TypeError: If the view would reach beyond the block.
        """
        return np.ndarray(tuple(shape), dtype, buffer=self._memory, offset=offset)

    def __getstate__(self) -> tuple[Any, int]:
        return reduction.DupFd(self._descriptor), self.nbytes

    def __setstate__(self, state: tuple[Any, int]) -> None:
        duplicate, nbytes = state
        self._map(duplicate.detach(), nbytes)
