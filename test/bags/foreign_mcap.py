# SPDX-License-Identifier: Apache-2.0
"""MCAP files as other recorders write them, with schemas of any language, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x89MCAP0\r\n"


@dataclass(frozen=True)
class Channel:
    """A topic: its type, the language and text of its definition, how messages are encoded."""

    topic: str
    type: str
    language: str
    definition: bytes
    encoding: str = "cdr"


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def write(
    path: Path,
    channels: Sequence[Channel],
    messages: Sequence[tuple[int, int, bytes]],
    *,
    profile: str = "",
    chunked: bool = False,
    summary: bool = True,
) -> Path:
    """A file of messages: number of channel, time (ns), data."""
    about = b"".join(
        record(3, struct.pack("<H", n + 1) + text(c.type) + text(c.language) + text(c.definition))
        + record(
            4, struct.pack("<HH", n, n + 1) + text(c.topic) + text(c.encoding) + text(b"")
        )
        for n, c in enumerate(channels)
    )  # fmt: skip
    content = b"".join(
        record(5, struct.pack("<HIQQ", number, 0, time_ns, time_ns) + data)
        for number, time_ns, data in messages
    )
    times = [time_ns for _, time_ns, _ in messages]
    header = MAGIC + record(1, text(profile) + text("a test"))
    body, index = about + content, b""
    if chunked:
        chunk = record(
            6,
            struct.pack("<QQQI", min(times), max(times), len(body), 0)
            + text("")
            + struct.pack("<Q", len(body))
            + body,
        )
        # Without the index of messages, which the format does not ask for.
        places = struct.pack("<QQQQ", min(times), max(times), len(header), len(chunk))
        sizes = struct.pack("<IQ", 0, 0) + text("") + struct.pack("<QQ", len(body), len(body))
        body, index = chunk, record(8, places + sizes)
    body = header + body + record(15, struct.pack("<I", 0))
    end = about + index if summary else b""
    footer = record(2, struct.pack("<QQI", len(body) if summary else 0, 0, 0))
    path.write_bytes(body + end + footer + MAGIC)
    return path
