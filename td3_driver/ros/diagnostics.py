# SPDX-License-Identifier: Apache-2.0
"""Plain values as diagnostic messages, and back."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue


def status(
    name: str, message: str, values: Mapping[str, object], *, level: bytes = DiagnosticStatus.OK
) -> DiagnosticStatus:
    """A status with its values as strings; floats keep six digits."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="td3_driver",
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def array(stamp: Time, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """What `/diagnostics` carries."""
    message = DiagnosticArray(status=list(statuses))
    message.header.stamp = stamp
    return message


def values(message: DiagnosticStatus) -> dict[str, str]:
    """The values of a status, by key."""
    return {pair.key: pair.value for pair in message.values}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
