# SPDX-License-Identifier: Apache-2.0
"""What may be written to a replay: one wrong number in it would spoil all learning after it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def check_observation(
    frame: npt.NDArray[np.uint8] | None,
    vector: npt.NDArray[np.float32],
    image_shape: tuple[int, int, int] | None,
    vector_dim: int,
) -> None:
    """Check a (H, W) frame against an image shape (C, H, W), and a vector against its length.

    Raises:
        ValueError: If one has another shape or type, or the vector is not finite.
    """
    if image_shape is None:
        if frame is not None:
            raise ValueError("frame: must be None, this replay was made without images")
    elif frame is None or frame.shape != image_shape[1:] or frame.dtype != np.uint8:
        found = "None" if frame is None else f"{frame.shape} {frame.dtype}"
        raise ValueError(f"frame: {found} is not {image_shape[1:]} uint8")
    check_finite("vector", vector, (vector_dim,))


def check_finite(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Check a number or an array.

    Raises:
        ValueError: If it has another shape, or is not finite.
    """
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name}: shape {array.shape} is not {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {array} is not finite")
