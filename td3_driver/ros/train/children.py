# SPDX-License-Identifier: Apache-2.0
"""Child processes of a command: their parameters, log lines, and end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from td3_driver.ros.tether import tethered
from td3_driver.start import UNINTERRUPTED


class Process:
    """A command run as a process.

    It has a session of its own, so that Ctrl-C reaches it only through its parent, and it ends if
    the parent is killed.

    Args:
        command: the command line.
        on_line: called from a thread with each line that it writes.
        keeps: file descriptors that it inherits and keeps open.
        environment: what its environment has beside this process' own.
    """

    END = signal.SIGINT

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None],
        keeps: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=keeps,
            env={**os.environ, **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def close_input(self) -> None:
        """Close its standard input, which tells some programs that there is no more to come."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def interrupt(self) -> None:
        """Ask it to end, without waiting."""
        if self._process.poll() is None:
            self._process.send_signal(self.END)

    def stop(self, within_s: float) -> int:
        """Ask it to end, kill it after a time in s; return the exit code."""
        self.interrupt()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=1.0)
        return self._process.returncode

    def _read(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # Our own reader may have gone, but the pipe must be read on: a node whose pipe is full
            # stands still.
            with contextlib.suppress(OSError):
                on_line(line.rstrip("\n"))


class Program(Process):
    """A Python module run as a process.

    Args:
        module: Python module to run.
        arguments: its command-line arguments.
        on_line, keeps: as of `Process`.
    """

    END = signal.SIGTERM

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        on_line: Callable[[str], None],
        keeps: Sequence[int] = (),
    ) -> None:
        start = [sys.executable, "-m", "td3_driver.start", module]
        super().__init__([*UNINTERRUPTED, *tethered(), *start, *arguments], on_line, keeps)


class Child(Program):
    """A node run as a process.

    Args:
        module: Python module to run, e.g. `td3_driver.ros.driver.node`.
        parameters: the node's parameters.
        on_line: called from a thread with each line that it logs.
        keeps: as of `Process`.
    """

    END = signal.SIGINT

    def __init__(
        self,
        module: str,
        parameters: Mapping[str, object],
        on_line: Callable[[str], None],
        keeps: Sequence[int] = (),
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="td3_driver_")
        file = Path(self._folder.name) / "parameters.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}))
        super().__init__(module, ["--ros-args", "--params-file", str(file)], on_line, keeps)

    def stop(self, within_s: float) -> int:
        """Stop as `Process.stop`, and delete the file of its parameters."""
        code = super().stop(within_s)
        self._folder.cleanup()
        return code
