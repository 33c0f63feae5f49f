# SPDX-License-Identifier: Apache-2.0
"""What the agent's tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_agent import SMALL, fill, random_batch

from td3_driver.agent import Replay
from td3_driver.replay.batch import Batch

torch.set_num_threads(1)


@pytest.fixture
def small() -> dict[str, Any]:
    return dict(SMALL)


@pytest.fixture
def filled() -> Callable[..., Replay]:
    return fill


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    return random_batch
