# SPDX-License-Identifier: Apache-2.0
"""Runs a command and all that it starts as one: `python -m td3_driver.fleet.keeper LOCK WORD...`.

Asked to end, it asks the command's whole process group, and kills what is left after a while:
nothing stays of a script that starts CARLA and a bridge. Two with the same lock file do not
overlap: the second begins when nothing of the first is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from td3_driver import signals
from td3_driver.ros.tether import tethered

END_S = 10.0  # from being asked to being killed
_LOOK_EVERY_S = 0.05


def main() -> None:
    """Entry point of the process; its exit code is the command's, 128 + N after signal N."""
    asked: list[int] = []
    signals.handle(lambda number, _: asked.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.ENDING)
    with Path(sys.argv[1]).open("w") as lock:
        while not _locked(lock.fileno()):
            if asked:
                sys.exit(0)
            time.sleep(_LOOK_EVERY_S)
        child = subprocess.Popen([*tethered(), *sys.argv[2:]], start_new_session=True)
        while child.poll() is None and not asked:
            time.sleep(_LOOK_EVERY_S)
        _end(child.pid)
        code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(group: int) -> None:
    """End a process group, whose first process is not reaped yet or has left others behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)
        until_s = time.monotonic() + END_S
        while time.monotonic() < until_s and _alive(group):
            time.sleep(_LOOK_EVERY_S)
        os.killpg(group, signal.SIGKILL)


def _alive(group: int) -> bool:
    """Whether a process of the group runs; a zombie does not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(number) == group and state != "Z":
                    return True
    return False


if __name__ == "__main__":
    main()
