# SPDX-License-Identifier: Apache-2.0
"""Migrates older checkpoint formats to the current one, version by version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT_VERSION = 2


def migrate(payload: dict[str, Any]) -> dict[str, Any]:
    """Migrate a payload to `FORMAT_VERSION`.

    Raises:
        ValueError: If its version is unknown.
    """
    version = payload.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"format_version is {version!r}, not a whole number from 1")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"format_version is {version}, this version of td3_driver reads up to"
            f" {FORMAT_VERSION}; a newer td3_driver wrote the file"
        )
    for step in range(version, FORMAT_VERSION):
        payload = {**_TO_NEXT[step](payload), "format_version": step + 1}
    return payload


def _with_replay(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: `replay` names the replay file beside the checkpoint; version 1 had none."""
    return {**payload, "replay": None}


_TO_NEXT: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_replay}
