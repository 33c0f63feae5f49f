# SPDX-License-Identifier: Apache-2.0
"""The observations and actions of an agent as data: all sizes and names that others need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from td3_driver.driving.observation import (
    ADVICE_LAYOUT,
    FRAME_COUNT,
    privileged_layout,
    vector_layout,
)
from td3_driver.driving.safety import ACTION_LAYOUT
from td3_driver.driving.view import ViewConfig


@dataclass(frozen=True)
class Spaces:
    """Shapes and names of an agent's observations and actions.

    Attributes:
        view: what a frame is.
        vector: name, unit and scale of each element of the float32 vector.
        privileged: the same of what only a critic is told.
        action: short name of each element of the action, float32 in [-1, 1].
    """

    view: ViewConfig
    vector: tuple[str, ...]
    privileged: tuple[str, ...]
    action: Mapping[str, str]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of the image: the channels of all frames, oldest frame first; height; width."""
        *channels, height, width = self.view.frame_shape
        return FRAME_COUNT * math.prod(channels), height, width

    @property
    def vector_dim(self) -> int:
        """Length of the vector."""
        return len(self.vector)

    @property
    def action_dim(self) -> int:
        """Length of the action."""
        return len(self.action)

    @property
    def policy(self) -> tuple[tuple[int, int, int], int, int]:
        """Shape of the image, lengths of vector and action: what a policy takes and gives."""
        return self.image_shape, self.vector_dim, self.action_dim

    @property
    def row(self) -> tuple[tuple[int, ...], int, int]:
        """Shape of a stack of frames, lengths of all that is told and of the action: a stored row.

        The stack is that of which `replay.buffer.Replay` keeps each frame once.
        """
        stack = (FRAME_COUNT, *self.view.frame_shape)
        return stack, self.vector_dim + len(self.privileged), self.action_dim

    def meaning(self) -> dict[str, object]:
        """Return shapes and names as plain data, as files carry them."""
        told = {"privileged": list(self.privileged)} if self.privileged else {}
        return {
            "image": self._image(),
            "vector": list(self.vector),
            **told,
            "action": list(self.action.values()),
        }

    def _image(self) -> str:
        size, colour = self.view.size_px, self.view.colour
        words = f"{FRAME_COUNT} {colour} frames of {size}x{size}, oldest first"
        if len(self.view.cameras) > 1:
            words += f", each of {', '.join(mount.id for mount in self.view.cameras)}"
        if colour == "rgb":
            words += f"{':' if len(self.view.cameras) > 1 else ', each'} red, green, blue"
        return words


def spaces(
    view: ViewConfig, *, end_to_end: bool, regulations: bool, privileged: bool, advised: bool
) -> Spaces:
    """Return the spaces of `Driver` and its policy; see `DrivingConfig`."""
    vector = vector_layout(end_to_end=end_to_end, regulations=regulations)
    told = privileged_layout(end_to_end=end_to_end) if privileged else []
    advice = ADVICE_LAYOUT if advised else ()
    return Spaces(view, tuple(vector), (*told, *advice), ACTION_LAYOUT)
