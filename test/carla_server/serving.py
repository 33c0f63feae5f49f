# SPDX-License-Identifier: Apache-2.0
"""A server in a process, and CARLA's client in another: the wheel keeps the GIL in its calls."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..e2e.running import PATIENCE_S, Program
from .client_process import DONE

HOST = "127.0.0.1"
MAPS = Path(__file__).resolve().parents[1] / "data" / "maps"
_TRIES = 20
# The wheel reads from a stream's socket that another thread of its own has freed: of 100 times
# that a world was loaded on a busy machine, two ended so. It hung once in some hundred runs.
_TRIES_OF_A_CLIENT = 3


class Serving:
    """`td3_driver world --carla-port` at ports that were free.

    Args:
        arguments: further ones of the command.
    """

    def __init__(self, *arguments: str) -> None:
        for _ in range(_TRIES):
            self.port = _free_ports()
            command = ("-m", "td3_driver.cli", "world", "--carla-port", str(self.port), *arguments)
            self.program = Program(*command)
            try:
                self.program.wait_for("CARLA 0.9.16 on")
            except AssertionError:
                self.program.kill()
                if "address already in use" not in self.program.output:
                    raise
            else:
                return
        raise AssertionError("no two ports are free")

    def run_client(self, module: str, function: str, *arguments: str, said: str = "") -> str:
        """Run a function of `clients/` in a process of its own; what it printed.

        It gets a `carla.Client`, the arguments, and `said` on its standard input.
        """
        for _ in range(_TRIES_OF_A_CLIENT):
            code, out, error = _run(client_command(self.port, module, function, *arguments), said)
            printed, done, _ = out.rpartition(f"\n{DONE}\n")
            if done or -code not in (signal.SIGSEGV, signal.SIGABRT):
                break
        assert done, (
            f"{module}.{function}: exit code {code}\n{out}{error}\n"
            f"--- server ---\n{self.program.output}"
        )
        return printed

    def stop(self) -> int:
        """End it as Ctrl-C does; the exit code."""
        return self.program.stop()


def client_command(port: int, module: str, function: str, *arguments: str) -> Sequence[str]:
    """The command line of a client's process."""
    name = "test.carla_server.client_process"
    return [sys.executable, "-m", name, str(port), module, function, *arguments]


def _run(command: Sequence[str], said: str) -> tuple[int, str, str]:
    """Run a client: exit code and what it wrote; one that hangs is aborted and says where."""
    client = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"},
    )
    try:
        out, error = client.communicate(said, PATIENCE_S)
    except subprocess.TimeoutExpired:
        client.send_signal(signal.SIGABRT)
        out, error = client.communicate()
        warnings.warn(f"a client hung:\n{error}", stacklevel=1)
    return client.returncode, out, error


def _free_ports() -> int:
    """A port that is free, and the next one, too; another process may take them meanwhile."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((HOST, 0))
            port: int = first.getsockname()[1]
            if port >= 65534:
                continue
            try:
                second.bind((HOST, port + 1))
            except OSError:
                continue
            return port
