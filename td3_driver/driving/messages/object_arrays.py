# SPDX-License-Identifier: Apache-2.0
"""A derived_object_msgs/ObjectArray in the bytes that DDS carries, CDR of OMG's DDS-XTypes, 7.4.3.

rclpy makes a hundred Python objects of each road user, which takes longer than all else that the
driver does with a tick's messages. Of the shape that the bridge and the embedded world give to
all of them, the bytes are a table: objects in the map frame, each a box, with no polygon.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from td3_driver.driving.messages.decoding import MOST_OBJECTS, users_of, yaw_of_quaternion
from td3_driver.driving.road_users import RoadUsers

MAP_FRAME = b"map\0"
# Representation, options, stamp, frame, number of objects. Numbers lie at multiples of their size
# after the first four bytes, and so do those of each object, since 232 is a multiple of 8.
HEAD = struct.Struct("<2s2xiII4sI")
LITTLE_ENDIAN = b"\0\1"
_FIELDS: dict[str, tuple[str, int]] = {
    "sec": ("<i4", 0),
    "nanosec": ("<u4", 4),
    "frame_length": ("<u4", 8),
    "frame_id": ("S4", 12),
    "id": ("<u4", 16),
    "detection_level": ("u1", 20),
    "object_classified": ("u1", 21),
    "position": ("(3,)<f8", 28),
    "orientation": ("(4,)<f8", 52),
    "linear": ("(3,)<f8", 84),
    "angular": ("(3,)<f8", 108),
    "acceleration": ("(3,)<f8", 132),
    "angular_acceleration": ("(3,)<f8", 156),
    "polygon_length": ("<u4", 180),
    "shape_type": ("u1", 184),
    "dimensions_length": ("<u4", 188),
    "dimensions": ("(3,)<f8", 196),
    "prism_length": ("<u4", 220),
    "classification": ("u1", 224),
    "classification_certainty": ("u1", 225),
    "classification_age": ("<u4", 228),
}
OBJECT = np.dtype(
    {
        "names": list(_FIELDS),
        "formats": [form for form, _ in _FIELDS.values()],
        "offsets": [offset for _, offset in _FIELDS.values()],
        "itemsize": 232,
    }
)
# What of an object decides where the rest of it is.
SHAPE = {
    "frame_length": len(MAP_FRAME), "polygon_length": 0, "dimensions_length": 3, "prism_length": 0,
}  # fmt: skip


def write(time_ns: int, table: npt.NDArray[np.void]) -> bytes:
    """Return the message of a stamp, ns, with a table (N,) of `OBJECT`, which gets it too."""
    sec, nanosec = divmod(time_ns, 1_000_000_000)
    for name, value in SHAPE.items():
        table[name] = value
    table["sec"], table["nanosec"], table["frame_id"] = sec, nanosec, MAP_FRAME
    frame = len(MAP_FRAME), MAP_FRAME
    return HEAD.pack(LITTLE_ENDIAN, sec, nanosec, *frame, len(table)) + table.tobytes()


def read(data: bytes) -> tuple[int, RoadUsers] | None:
    """Return the stamp, ns, and the road users, as `decoding.road_users` does.

    None: the bytes have another shape, or are no such message.
    """
    if len(data) < HEAD.size:
        return None
    representation, sec, nanosec, frame_length, _, count = HEAD.unpack_from(data)
    if representation != LITTLE_ENDIAN or frame_length != len(MAP_FRAME):
        return None
    if len(data) != HEAD.size + count * OBJECT.itemsize:
        return None
    table = np.frombuffer(data, OBJECT, count, HEAD.size)
    if any((table[name] != value).any() for name, value in SHAPE.items()):
        return None
    table = table[:MOST_OBJECTS]
    yaws = [yaw_of_quaternion(*numbers) for numbers in table["orientation"].tolist()]
    columns = (
        table["position"][:, :2], yaws, table["dimensions"][:, :2], table["linear"][:, :2],
        table["angular"][:, 2], table["id"], table["classification"],
    )  # fmt: skip
    return sec * 1_000_000_000 + nanosec, users_of(np.column_stack(columns))
