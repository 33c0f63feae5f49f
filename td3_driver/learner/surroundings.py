# SPDX-License-Identifier: Apache-2.0
"""What the learner needs of the machine that it runs on, and one line where that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from td3_driver.checkpoints.archive import one_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class UnfitError(Exception):
    """What the learner was started with cannot be had on this machine; one line says why."""


def check_device(device: str) -> None:
    """See that networks can be put there.

    Raises:
        UnfitError: build, driver or card are missing, or do not fit together.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnfitError(
            f"device {device}: cannot be used ({one_line(error)}); use cpu, or install a PyTorch "
            f"that fits this machine (this one is {torch.__version__})"
        ) from error


def summary_writer(folder: Path) -> SummaryWriter:
    """TensorBoard's writer.

    Raises:
        UnfitError: it cannot write there.
    """
    from torch.utils.tensorboard import SummaryWriter  # here: a driver does without

    try:
        return SummaryWriter(str(folder))
    except OSError as error:
        raise UnfitError(f"TensorBoard: {folder}: {error.strerror or error}") from error
