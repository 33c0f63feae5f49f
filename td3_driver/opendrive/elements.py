# SPDX-License-Identifier: Apache-2.0
"""Attributes of XML elements as texts and numbers."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

# As XML Schema writes a double; Python also takes 1_000 and other scripts' digits.
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_LARGEST = 1e9  # a place on Earth in the widest projection has 1e8 m


class OpenDriveError(ValueError):
    """A document, or an element of it, cannot be used; the message is a line that names it."""


def identifier(element: Element, name: str) -> str:
    """An attribute that must be there and say something.

    Raises:
        OpenDriveError: it does not.
    """
    value = element.get(name, "").strip()
    if not value:
        raise OpenDriveError(f"it has no attribute {name}")
    return value


def number(element: Element, name: str, default: float | None = None) -> float:
    """An attribute that is a number; the default, if there is one, where it is missing.

    Raises:
        OpenDriveError: it is none, or larger than any on Earth.
    """
    text = element.get(name)
    if text is None:
        if default is None:
            raise OpenDriveError(f"a <{element.tag}> has no attribute {name}; expected a number")
        return default
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not abs(value) <= _LARGEST:  # NaN is not either
        raise OpenDriveError(
            f"a <{element.tag}> has {name}={text[:40]!r}; "
            f"expected a number of at most {_LARGEST:g}"
        )
    return value
