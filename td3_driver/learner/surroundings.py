# SPDX-License-Identifier: Apache-2.0
"""Checks of the learner's device and folder, each failing with one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from td3_driver.checkpoints.archive import one_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class UnfitError(Exception):
    """A device or folder that the learner needs is not available; one line says why."""


def check_device(device: str) -> None:
    """Check that networks can be put on a device.

    Raises:
        UnfitError: torch's build, the driver or the card is missing or does not match.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnfitError(
            f"device {device}: cannot be used ({one_line(error)}); use cpu, or install a PyTorch "
            f"that fits this machine (this one is {torch.__version__})"
        ) from error


def summary_writer(folder: Path) -> SummaryWriter:
    """Create TensorBoard's writer.

    Raises:
        UnfitError: it cannot write to the folder.
    """
    from torch.utils.tensorboard import SummaryWriter  # here: a driver does not need it

    try:
        return SummaryWriter(str(folder))
    except OSError as error:
        raise UnfitError(f"TensorBoard: {folder}: {error.strerror or error}") from error
