# SPDX-License-Identifier: Apache-2.0
"""Text from outside in our messages: made one line, without control characters, not too long."""

from __future__ import annotations

_SHOWN = 120


def printable(text: str) -> str:
    """Return the text with unprintable characters as escape sequences."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown(text: object) -> str:
    """Return the text as `printable` does, cut if it is long."""
    whole = str(text)
    return printable(whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}...")
