# SPDX-License-Identifier: Apache-2.0
"""The files that a request may name, since anyone on the ROS network can send one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from td3_driver.checkpoints.checkpoint import BEST, CheckpointError
from td3_driver.text import shown

_LONGEST = 4096  # PATH_MAX; resolving a path of a million parts would take hours
_NUMBERED = re.compile(r"td3_(\d+)\.pth")


class ReachError(CheckpointError):
    """A request names a file outside its reach; one line says why."""


class Reach:
    """The folders in which requests may read and write checkpoints.

    Args:
        folder: the run's; names without a folder are of files in it.
        roots: further folders, with everything below them.
    """

    def __init__(self, folder: Path, roots: tuple[Path, ...] = ()) -> None:
        self.folder = folder
        self._roots = (folder, *roots)

    def of(self, path: Path) -> Path:
        """Return the named file or folder, with links resolved.

        Raises:
            ReachError: it is outside the folders, or no valid name of a file.
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
        """Return the named checkpoint file, with links resolved.

        Raises:
            ReachError: as of `of`, or it is not named like a checkpoint.
        """
        if path.suffix != ".pth":
            raise ReachError(f"{shown(path)}: is not named .pth, as checkpoints are")
        real = self.of(path)
        if real.suffix != ".pth":
            raise ReachError(f"{shown(path)}: leads to a file that is not named .pth")
        return real

    def new_file(self, path: Path, env_steps: int) -> Path:
        """Return the file that a checkpoint of step `env_steps` is to be written to.

        `checkpoint.write` refuses to overwrite a file that is no checkpoint.

        Raises:
            ReachError: as of `file`, or the name is reserved or taken, or its folder is not there.
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
    """Check that a text can be the name of a file, without accessing the disk.

    Raises:
        ReachError: it cannot be.
    """
    if len(text) > _LONGEST:
        raise ReachError(f"{shown(text)}: is longer than a path may be, {_LONGEST} characters")
    if not text.isprintable():
        raise ReachError(f"{shown(text)}: has characters that cannot be printed")
