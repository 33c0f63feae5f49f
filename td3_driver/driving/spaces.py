# SPDX-License-Identifier: Apache-2.0
"""What an agent sees and does, as data: every size and every name that others need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from td3_driver.driving.observation import FRAME_COUNT, FRAME_SIZE, vector_layout
from td3_driver.driving.safety import ACTION_LAYOUT


@dataclass(frozen=True)
class Spaces:
    """An agent's observations and actions.

    Attributes:
        image_shape: of the image, uint8: grey frames, oldest first; height; width.
        vector: what each element of the vector is, float32, by name, unit and scale.
        action: what each element of the action is, float32 in [-1, 1], by its short name.
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
        """Shape of the image, lengths of vector and action: what a `TransitionStore` stores."""
        return self.image_shape, self.vector_dim, self.action_dim

    def meaning(self) -> dict[str, object]:
        """The same in words, as files carry it."""
        frames, height, width = self.image_shape
        return {
            "image": f"{frames} grey frames of {height}x{width}, oldest first",
            "vector": list(self.vector),
            "action": list(self.action.values()),
        }


def spaces(*, end_to_end: bool) -> Spaces:
    """What `Driver` gives its policy and takes from it; see `DrivingConfig.end_to_end`."""
    image_shape = (FRAME_COUNT, FRAME_SIZE, FRAME_SIZE)
    return Spaces(image_shape, tuple(vector_layout(end_to_end=end_to_end)), ACTION_LAYOUT)
