# SPDX-License-Identifier: Apache-2.0
"""Message types: ROS 2's own, the bridge's, and those that a bag describes itself."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

# The defaults that rosbags' definitions leave out: geometry_msgs/Quaternion turns nothing.
_DEFAULTS = {("geometry_msgs/msg/Quaternion", "w"): 1.0}
_IDL_RULE = "=" * 80 + "\nIDL: "


@functools.cache
def known_types() -> dict[str, Any]:
    """Definitions of ROS 2 Jazzy's own types and of the bridge's, where they are installed."""
    types: dict[str, Any] = dict(get_typestore(Stores.ROS2_JAZZY).fielddefs)
    for package in ("carla_msgs", "derived_object_msgs"):
        spec = find_spec(package)
        origins = [spec.origin] if spec is not None and spec.origin else []
        for prefix in (parent for origin in origins for parent in Path(origin).parents):
            folder = prefix / "share" / package / "msg"
            for file in sorted(folder.glob("*.msg")):
                types.update(get_types_from_msg(file.read_text(), f"{package}/msg/{file.stem}"))
    return types


def typestore() -> Typestore:
    """Serialises and describes the types of `known_types`."""
    store = get_typestore(Stores.EMPTY)
    store.register(known_types())
    return store


def typestore_of(connections: list[Connection]) -> Typestore:
    """The known types, and over them what the bag itself says of its own."""
    types = dict(known_types())
    for connection in connections:
        text = connection.msgdef.data
        if connection.msgdef.format == MessageDefinitionFormat.MSG:
            types.update(get_types_from_msg(text, connection.msgtype))
        elif connection.msgdef.format == MessageDefinitionFormat.IDL:
            for part in text.split(_IDL_RULE)[1:] if _IDL_RULE in text else ["\n" + text]:
                types.update(get_types_from_idl(part.split("\n", 1)[1]))
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


class BagMessages:
    """Messages to be written into a bag; see `driving.encoding.Messages`.

    Args:
        store: of the types.
    """

    def __init__(self, store: Typestore) -> None:
        self._store = store

    def new(self, kind: str) -> Any:
        """A message with its type's defaults."""
        fields = self._store.fielddefs[kind][1]
        values = {name: _DEFAULTS.get((kind, name), self._empty(*of)) for name, of in fields}
        return self._store.types[kind](**values)

    def sequence(self, values: NDArray[Any]) -> NDArray[Any]:
        """The array itself."""
        return values

    def _empty(self, node: Nodetype, of: Any) -> Any:
        """The default of a field; `of` is what rosbags says besides of its type."""
        if node == Nodetype.NAME:
            return self.new(of)
        if node == Nodetype.BASE:
            name = of[0]
            return "" if name == "string" else np.zeros((), name).item()
        (element, about), count = of
        if node == Nodetype.SEQUENCE:
            count = 0
        if element == Nodetype.BASE and about[0] != "string":
            return np.zeros(count, about[0])
        return [self._empty(element, about) for _ in range(count)]
