# SPDX-License-Identifier: Apache-2.0
"""The start and end of a node of this package as a process."""

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
_SEGMENT_LOCKS = f"fast*_{'[0-9a-f]' * 16}_el"  # fastrtps; fastdds with Kilted's Fast DDS 3
_SETTLED_S = 30.0  # a starting process may not have locked its segment yet


class ForeseenError(Exception):
    """A parameter, file or disk cannot be used; one line says what is wrong."""


@contextmanager
def foreseen() -> Iterator[None]:
    """Within, errors of reading parameters and files become a `ForeseenError`.

    Raises:
        ForeseenError: instead of errors that say that they cannot be used. A `ValueError` or
            `OSError` from anywhere else is an error of the program.
    """
    try:
        yield
    except (ValueError, OSError, ParameterException) as error:
        raise ForeseenError(str(error)) from error


def each_of(*steps: Callable[[], object]) -> None:
    """Call all steps in order, even if some raise; then raise their exceptions."""
    with ExitStack() as stack:
        for step in reversed(steps):
            stack.callback(step)


def log_internal_error() -> None:
    """Log the exception being handled, with its traceback."""
    get_logger("td3_driver").fatal(f"internal error, ending:\n{traceback.format_exc()}")


class Stop:
    """A request to stop, set by SIGINT, SIGTERM or SIGHUP; further signals change nothing.

    rclpy's own handlers would shut the context down at once, before the last brake command; here
    the node's loop sees the request and ends in order. Python runs signal handlers only between
    bytecodes, so a node that waits for a message would not notice. So a thread wakes the node's
    executor when the C handler writes to the wake-up file descriptor.
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
        """Let signals end this node's wait for messages."""
        # Executor.wake() is not enough: spin_once waits on until there is a callback to run.
        self._wake = node.create_guard_condition(lambda: None).trigger

    def rests(self) -> None:
        """Stop waking the node, which is about to be destroyed."""
        with self._waking:
            self._wake = None

    def _wait(self) -> None:
        while self._reader.recv(1):
            self.requested = True
            with self._waking:
                if self._wake is not None:
                    self._wake()


def free_abandoned_segments() -> None:
    """Delete the shared memory of killed Fast DDS processes, half a megabyte each.

    A living owner holds a lock on `<segment>_el`; `fastdds shm clean` checks the same.
    """
    for lock in SHARED_MEMORY.glob(_SEGMENT_LOCKS):
        try:
            if time.time() - lock.stat().st_mtime < _SETTLED_S:
                continue
            with lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except OSError:  # its owner lives or is another user, or it is gone
            continue


def run_node(
    make: Callable[[], N], loop: Callable[[N, SingleThreadedExecutor, Stop], int]
) -> None:
    """Make a node, run its loop, and exit with the loop's code.

    A `ForeseenError` is printed as one line, any other exception is logged with its traceback; the
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
        stop.rests()  # before the guard condition is destroyed
        executor.shutdown()
        node.destroy_node()
        code = ended
    except ForeseenError as error:
        print(f"error: {error}", file=sys.stderr)
    except BaseException:  # noqa: BLE001 - SystemExit, too: only the loop may end the node
        log_internal_error()
    finally:
        # Nothing is left to do; Python's exit would restore the signals' default handlers.
        signals.ignore()
        stop.rests()
        rclpy.try_shutdown()
    sys.exit(code)


def _begin() -> None:
    with foreseen():  # ROS's own message would name its source files, too
        for file in given_files():
            sections(file)
    try:
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # an error in the command line or its files
        raise ForeseenError(f"ROS arguments: {' '.join(str(error).split())}") from error
