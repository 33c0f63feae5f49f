# SPDX-License-Identifier: Apache-2.0
"""Which files a request may name: anybody who reaches the ROS network can make one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from td3_driver.checkpoints.checkpoint import BEST, CheckpointError
from td3_driver.text import shown

_LONGEST = 4096  # PATH_MAX; resolving a path of a million parts would take hours
_NUMBERED = re.compile(r"td3_(\d+)\.pth")


class ReachError(CheckpointError):
    """A request names a file that is none of its business; one line says why."""


class Reach:
    """Folders whose checkpoints requests may read and write.

    Args:
        folder: of the run; names without a folder are of files in it.
        roots: folders besides, with all that lies below them.
    """

    def __init__(self, folder: Path, roots: tuple[Path, ...] = ()) -> None:
        self.folder = folder
        self._roots = (folder, *roots)

    def of(self, path: Path) -> Path:
        """The file or folder that is meant, links resolved.

        Raises:
            ReachError: it lies elsewhere, or is no name of a file.
        """
        check_name(str(path))
        try:
            real = Path(os.path.realpath(self.folder / path))
            roots = [Path(os.path.realpath(root)) for root in self._roots]
        except OSError as error:
            raise ReachError(f"{shown(path)}: {error.strerror}") from error
        if not any(real.is_relative_to(root) for root in roots):
            raise ReachError(
                f"{shown(path)}: is outside of {self.folder}; parameter checkpoint_roots opens"
                " other folders, at the start of the node"
            )
        return real

    def file(self, path: Path) -> Path:
        """The checkpoint file that is meant, links resolved.

        Raises:
            ReachError: as of `of`, or it is not named as a checkpoint.
        """
        if path.suffix != ".pth":
            raise ReachError(f"{shown(path)}: is not named .pth, as checkpoints are")
        real = self.of(path)
        if real.suffix != ".pth":
            raise ReachError(f"{shown(path)}: leads to a file that is not named .pth")
        return real

    def new_file(self, path: Path, env_steps: int) -> Path:
        """The file that a checkpoint of step `env_steps` is to be written to.

        What is there already and no checkpoint `checkpoint.write` refuses.

        Raises:
            ReachError: as of `file`, or what is there is for others to write.
        """
        real = self.file(path)
        if real.name == BEST:
            raise ReachError(f"{shown(path)}: is chosen by evaluation; save under another name")
        numbered = _NUMBERED.fullmatch(real.name)
        if numbered and int(numbered[1]) != env_steps and os.path.lexists(real):
            raise ReachError(f"{shown(path)}: is there already, and this is step {env_steps}")
        if real.parent != Path(os.path.realpath(self.folder)) and not real.parent.is_dir():
            raise ReachError(f"{shown(path)}: its folder is not there")
        return real


def check_name(text: str) -> None:
    """See that a text can be the name of a file, without looking at the disk.

    Raises:
        ReachError: it cannot.
    """
    if len(text) > _LONGEST:
        raise ReachError(f"{shown(text)}: is longer than a path may be, {_LONGEST} characters")
    if not text.isprintable():
        raise ReachError(f"{shown(text)}: has characters that cannot be printed")
