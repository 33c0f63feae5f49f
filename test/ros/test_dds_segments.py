# SPDX-License-Identifier: Apache-2.0
"""A killed node's Fast DDS segment is freed by the next that starts, a living one's is not."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from td3_driver.ros.process import SHARED_MEMORY, free_abandoned_segments


def world() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "td3_driver.bridge_twin.world_node"], stderr=subprocess.DEVNULL
    )


def locks_of(pid: int) -> set[Path]:
    """The segment locks that a process holds open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = Path(os.readlink(link))
        except OSError:
            continue
        if target.parent == SHARED_MEMORY and target.name.endswith("_el"):
            found.add(target)
    return {lock for lock in found if "port" not in lock.name}


def wait_for_locks(process: subprocess.Popen[bytes]) -> set[Path]:
    end_s = time.monotonic() + 120.0
    while not (locks := locks_of(process.pid)):
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return locks


def test_the_dead_s_memory_is_freed_and_the_living_s_is_not() -> None:
    killed, living = world(), world()
    try:
        dead, alive = wait_for_locks(killed), wait_for_locks(living)
        killed.kill()
        killed.wait()
        for lock in dead | alive:
            with suppress(FileNotFoundError):  # another node that starts may have freed it
                os.utime(lock, (0, 0))  # not of a process that is just starting
        free_abandoned_segments()
        for lock in dead:
            assert not lock.exists()
            assert not lock.with_name(lock.name[:-3]).exists()
        for lock in alive:
            assert lock.exists()
            assert lock.with_name(lock.name[:-3]).exists()
    finally:
        killed.kill()
        living.terminate()
        living.wait(120.0)
