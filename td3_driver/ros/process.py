# SPDX-License-Identifier: Apache-2.0
"""How a node of this package starts and ends as a process."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

N = TypeVar("N", bound=Node)


class Stop:
    """Set by SIGINT or SIGTERM.

    rclpy's own handlers would shut the context down at once, and with it the last brake command;
    here the node's loop sees the wish and ends in order. Python runs signal handlers only between
    bytecodes, so a node that waits for a message would not notice: the wake-up file descriptor
    is written by the C handler itself, and a thread wakes the node's executor.
    """

    def __init__(self) -> None:
        self.requested = False
        self._wake: Callable[[], None] | None = None
        self._reader, writer = socket.socketpair()
        writer.setblocking(False)
        self._writer = writer  # kept open as long as signals may write to it
        signal.set_wakeup_fd(writer.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def wakes(self, node: Node) -> None:
        """Let a signal end this node's wait for messages."""
        # Executor.wake() would not: spin_once goes on waiting until there is a callback to run.
        self._wake = node.create_guard_condition(lambda: None).trigger

    def _wait(self) -> None:
        while self._reader.recv(1):
            self.requested = True
            if self._wake is not None:
                self._wake()


def run_node(
    make: Callable[[], N], loop: Callable[[N, SingleThreadedExecutor, Stop], int]
) -> None:
    """Make a node, run its loop, and exit with the loop's code.

    A `ValueError` or `OSError` while making it is a user's mistake: one line, exit code 1.
    """
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    stop = Stop()
    code = 1
    try:
        node = make()
        stop.wakes(node)
        executor.add_node(node)
        code = loop(node, executor, stop)
        executor.shutdown()
        node.destroy_node()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    finally:
        rclpy.try_shutdown()
    sys.exit(code)
