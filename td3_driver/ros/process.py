# SPDX-License-Identifier: Apache-2.0
"""How a node of this package starts and ends as a process."""

from __future__ import annotations

import fcntl
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from td3_driver import signals
from td3_driver.ros.command_line import given_files, sections
from td3_driver.ros.versions import new_executor

N = TypeVar("N", bound=Node)
SHARED_MEMORY = Path("/dev/shm")
_SEGMENT_LOCKS = f"fast*_{'[0-9a-f]' * 16}_el"  # fastrtps; Kilted's Fast DDS 3: fastdds
_SETTLED_S = 30.0  # a process that starts may not have locked its own yet


class ForeseenError(Exception):
    """A parameter, a file or a disk is not as it should be; one line says what is wrong."""


@contextmanager
def foreseen() -> Iterator[None]:
    """Where parameters and files are read.

    Raises:
        ForeseenError: instead of what is raised here where they cannot be used. A `ValueError`
            or `OSError` from anywhere else is an error of the program.
    """
    try:
        yield
    except (ValueError, OSError, ParameterException) as error:
        raise ForeseenError(str(error)) from error


def each_of(*steps: Callable[[], object]) -> None:
    """Call all, in their order, whatever they raise; what they raised comes afterwards."""
    with ExitStack() as stack:
        for step in reversed(steps):
            stack.callback(step)


def log_internal_error() -> None:
    """Log the exception being handled, with its traceback."""
    get_logger("td3_driver").fatal(f"internal error, ending:\n{traceback.format_exc()}")


class Stop:
    """Set by SIGINT, SIGTERM, or the end of the terminal (SIGHUP); more of them change nothing.

    rclpy's own handlers would shut the context down at once, and with it the last brake command;
    here the node's loop sees the wish and ends in order. Python runs signal handlers only between
    bytecodes, so a node that waits for a message would not notice: the wake-up file descriptor
    is written by the C handler itself, and a thread wakes the node's executor.
    """

    def __init__(self) -> None:
        self.requested = False
        self._wake: Callable[[], None] | None = None
        self._waking = threading.Lock()
        self._reader, writer = socket.socketpair()
        writer.setblocking(False)
        self._writer = writer  # kept open as long as signals may write to it
        signal.set_wakeup_fd(writer.fileno())
        signals.handle(lambda *_: None)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def wakes(self, node: Node) -> None:
        """Let a signal end this node's wait for messages."""
        # Executor.wake() would not: spin_once goes on waiting until there is a callback to run.
        self._wake = node.create_guard_condition(lambda: None).trigger

    def rests(self) -> None:
        """The node is about to go: signals wake nobody any more."""
        with self._waking:
            self._wake = None

    def _wait(self) -> None:
        while self._reader.recv(1):
            self.requested = True
            with self._waking:
                if self._wake is not None:
                    self._wake()


def free_abandoned_segments() -> None:
    """Delete the shared memory, half a megabyte each, of Fast DDS processes that were killed.

    A living owner holds a lock on `<segment>_el`; `fastdds shm clean` goes by the same.
    """
    for lock in SHARED_MEMORY.glob(_SEGMENT_LOCKS):
        try:
            if time.time() - lock.stat().st_mtime < _SETTLED_S:
                continue
            with lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except OSError:  # its owner lives, or is another user, or somebody else was faster
            continue


def run_node(
    make: Callable[[], N], loop: Callable[[N, SingleThreadedExecutor, Stop], int]
) -> None:
    """Make a node, run its loop, and exit with the loop's code.

    A `ForeseenError` is one line, anything else that is raised is logged with its traceback; the
    exit code of both is 1.
    """
    stop = Stop()
    free_abandoned_segments()
    code = 1
    try:
        _begin()
        executor = new_executor()
        node = make()
        stop.wakes(node)
        executor.add_node(node)
        ended = loop(node, executor, stop)
        stop.rests()  # before what it wakes is gone
        executor.shutdown()
        node.destroy_node()
        code = ended
    except ForeseenError as error:
        print(f"error: {error}", file=sys.stderr)
    except BaseException:  # noqa: BLE001 - SystemExit, too: the loop alone says when all is done
        log_internal_error()
    finally:
        # From here on nothing is left to do; Python's end would give signals their default again.
        signals.ignore()
        stop.rests()
        rclpy.try_shutdown()
    sys.exit(code)


def _begin() -> None:
    with foreseen():  # ROS would name its own source files, too
        for file in given_files():
            sections(file)
    try:
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # of the command line and the files that it names
        raise ForeseenError(f"ROS arguments: {' '.join(str(error).split())}") from error
