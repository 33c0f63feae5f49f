# SPDX-License-Identifier: Apache-2.0
"""The observations and actions of an agent as data: all sizes and names that others need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from td3_driver.driving.observation import FRAME_COUNT, FRAME_SIZE, vector_layout
from td3_driver.driving.safety import ACTION_LAYOUT


@dataclass(frozen=True)
class Spaces:
    """Shapes and names of an agent's observations and actions.

    Attributes:
        image_shape: shape of the uint8 image: grey frames, oldest first; height; width.
        vector: name, unit and scale of each element of the float32 vector.
        action: short name of each element of the action, float32 in [-1, 1].
    """

    image_shape: tuple[int, int, int]
    vector: tuple[str, ...]
    action: Mapping[str, str]

    @property
    def vector_dim(self) -> int:
        """Length of the vector."""
        return len(self.vector)

    @property
    def action_dim(self) -> int:
        """Length of the action."""
        return len(self.action)

    @property
    def row(self) -> tuple[tuple[int, int, int], int, int]:
        """Shape of the image, lengths of vector and action: a row of a `TransitionStore`."""
        return self.image_shape, self.vector_dim, self.action_dim

    def meaning(self) -> dict[str, object]:
        """Return shapes and names as plain data, as files carry them."""
        frames, height, width = self.image_shape
        return {
            "image": f"{frames} grey frames of {height}x{width}, oldest first",
            "vector": list(self.vector),
            "action": list(self.action.values()),
        }


def spaces(*, end_to_end: bool) -> Spaces:
    """Return the spaces of `Driver` and its policy; see `DrivingConfig.end_to_end`."""
    image_shape = (FRAME_COUNT, FRAME_SIZE, FRAME_SIZE)
    return Spaces(image_shape, tuple(vector_layout(end_to_end=end_to_end)), ACTION_LAYOUT)
