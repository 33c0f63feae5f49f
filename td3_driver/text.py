# SPDX-License-Identifier: Apache-2.0
"""Other people's text in our messages: one line, no control characters, not too long."""

from __future__ import annotations

_SHOWN = 120


def printable(text: str) -> str:
    """The text with what cannot be printed as escape sequences."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown(text: object) -> str:
    """As `printable`, cut off where it gets long."""
    whole = str(text)
    return printable(whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}...")
