# SPDX-License-Identifier: Apache-2.0
"""The real bridge on the embedded world, and test/bridge's client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from geometry_msgs.msg import Pose, Twist

from ..bridge.client import COMMANDS, Client
from ..bridge.conftest import open_place, placed

if TYPE_CHECKING:
    from .stack import Stack

__all__ = ["open_place", "placed"]  # fixtures


class BridgeClient(Client):
    """A client that also waits where `world_node` serves what comes together in its order."""

    def place(self, pose: Pose) -> None:
        self.publish("control/set_target_velocity", Twist())
        self.answer_until(lambda: abs(self.last("odometry").twist.twist.linear.x) < 0.01)
        super().place(pose)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    from .stack import Stack, objects_file  # which skips where there is no bridge

    folder = tmp_path_factory.mktemp("stack")
    file = objects_file(folder, "hero", "front", (64, 48), all_objects=True)
    with Stack(folder, file) as stack:
        stack.start_set_initial_pose()
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    with BridgeClient() as client:
        client.connect(tuple(COMMANDS))
        yield client
