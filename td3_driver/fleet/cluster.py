# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster for a run: one of its own on this machine, or one that is there already."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from td3_driver.signals import ENDING

_STORE_BYTES = 512 * 2**20
_KNOCK_S = 5.0
_KNOCK_EVERY_S = 0.5
_KNOCK_AGAIN_S = 1.0
# A head that is not reached for so long is lost: another's may be started anew meanwhile, and
# after a minute Ray's library ends whoever waits for it.
_OWN_LOST_S, _LOST_S = 4.0, 40.0
_TOKEN = secrets.token_hex(32)


class ClusterError(ValueError):
    """A cluster cannot be had; one line says why and what to do."""


def prepare(address: str | None) -> None:
    """Set Ray's switches, which it reads when it is imported: call this before; look for Ray.

    Nothing is reported to anybody. Ray listens on the machine's own address whatever it is told:
    for a cluster of its own, a token is made that only this process and its children know. Whoever
    has none is turned away.

    Raises:
        ClusterError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise ClusterError(
            "Ray is not installed: `make setup` does it; requirements-more.txt names its version"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would kill a worker's children outright, and orphan theirs: keepers end both in order.
    os.environ.setdefault("RAY_kill_child_processes_on_worker_exit", "false")
    if address is None:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_TOKEN)


def knock(address: str, within_s: float = _KNOCK_S) -> None:
    """Look whether somebody listens at an address: Ray itself asks for minutes.

    Raises:
        ClusterError: nobody does.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), within_s).close()
    except (OSError, ValueError) as error:
        raise _nothing_at(address, error) from error


def _nothing_at(address: str, error: Exception) -> ClusterError:
    said = " ".join(str(error).split())
    return ClusterError(
        f"--address {address}: no Ray cluster there ({said[:200]}); start one with ray start"
        " --head, or leave out --address"
    )


@contextmanager
def cluster(
    address: str | None,
    run: str,
    cpus: int,
    gpus: float,
    lost: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Within, be connected to a cluster; `prepare` came before.

    Where the cluster's head is lost this process ends, with exit code 1.

    Args:
        address: "auto" or "HOST:PORT" of one that is there; None: one of this run alone, which
            nobody else reaches, and which ends with the block, and with this process.
        run: the run's name; actors of several runs do not meet.
        cpus, gpus: of a cluster of its own: what it may hand out. Its actors divide the machine
            among themselves, whatever this says.
        lost: called, in another thread, before the process ends because the head is lost.

    Raises:
        ClusterError: there is no cluster at the address, or it refuses us.
    """
    import ray  # not before `prepare`

    if address is not None:
        if os.environ.get("RAY_AUTH_MODE") != "token":
            print(
                "fleet: the cluster has no authentication (RAY_AUTH_MODE=token): whoever reaches"
                " it can run programs there; see docs/fleet.md",
                file=sys.stderr,
            )
        knock(address)
        try:
            ray.init(address, namespace=run, log_to_driver=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise _nothing_at(address, error) from error
        try:
            with _head_watched(ray.get_runtime_context().gcs_address, _LOST_S, lost):
                yield
        finally:
            ray.shutdown()
        return
    folder = tempfile.mkdtemp(prefix="td3_fleet_")  # short: it holds sockets
    try:
        # A signal to the group (systemd, timeout, a terminal that closes) is for this process
        # alone, which ends the others in order. They inherit what is blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            ray.init(
                "local",
                namespace=run,
                num_cpus=cpus,
                num_gpus=math.ceil(gpus) or None,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=folder,
            )
        except (OSError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise ClusterError(f"Ray cannot be started in {folder}: {said[:300]}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

        def end() -> None:
            lost()
            shutil.rmtree(folder, ignore_errors=True)

        with _head_watched(ray.get_runtime_context().gcs_address, _OWN_LOST_S, end):
            yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _head_watched(head: str, within_s: float, lost: Callable[[], object]) -> Iterator[None]:
    """Within, call `lost` and end this process when the head has not been reached for so long.

    In a thread, for Ray's calls wait without end for a head that has gone. What Ray has started
    for this process ends with it.
    """
    left = threading.Event()

    def watch() -> None:
        reached_s = time.monotonic()
        while not left.wait(_KNOCK_EVERY_S):
            with contextlib.suppress(ClusterError):
                knock(head, _KNOCK_AGAIN_S)
                reached_s = time.monotonic()
            if time.monotonic() - reached_s > within_s and not left.is_set():
                try:
                    lost()
                finally:  # whatever is gone with the head
                    os._exit(1)

    threading.Thread(target=watch, name="head", daemon=True).start()
    try:
        yield
    finally:
        left.set()
