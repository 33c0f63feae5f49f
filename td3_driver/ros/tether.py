# SPDX-License-Identifier: Apache-2.0
"""Processes that end when the one that started them does, however that ends."""

from __future__ import annotations

import os

# A shell looks, after the kernel was asked, whether the parent had died before.
_UNLESS_ORPHANED = '[ "$PPID" = {parent} ] && exec "$@"'


def tethered() -> list[str]:
    """What goes before a command that this process starts, so that it ends with this process.

    The kernel sends it SIGTERM when the thread that started it ends, so it must be started by a
    thread that lives as long as the process. The process id stays the same.
    """
    watched = _UNLESS_ORPHANED.format(parent=os.getpid())
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", watched, "sh"]
