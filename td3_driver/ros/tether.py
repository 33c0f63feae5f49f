# SPDX-License-Identifier: Apache-2.0
"""Processes that end with the process that started them."""

from __future__ import annotations

import os

# The shell checks, once the kernel will signal it, that the parent has not died before.
_UNLESS_ORPHANED = '[ "$PPID" = {parent} ] && exec "$@"'


def tethered() -> list[str]:
    """Return a prefix for a command that this process starts, so that it ends with this one.

    The kernel sends SIGTERM when the starting thread ends, so start it from a thread that lives as
    long as the process. The process ID stays the same.
    """
    watched = _UNLESS_ORPHANED.format(parent=os.getpid())
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", watched, "sh"]


def tethered_hard(within_s: float) -> list[str]:
    """Return such a prefix for a program of others, which may hang when it is asked to end.

    Some time after the first signal it is killed. The process is that of `timeout`, which hands
    signals on; whatever ends that ends the program.
    """
    watch = ["timeout", "--foreground", f"--kill-after={within_s:g}", "0"]
    return [*tethered(), *watch, "setpriv", "--pdeathsig", "KILL"]
