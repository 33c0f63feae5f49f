# SPDX-License-Identifier: Apache-2.0
"""Message types: those of ROS 2, of the bridge, and those that a bag defines itself."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

# By the name that a bag gives to the language of a definition.
DEFINITIONS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros1msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}

# The defaults that rosbags' definitions leave out: geometry_msgs/Quaternion turns nothing.
_DEFAULTS = {("geometry_msgs/msg/Quaternion", "w"): 1.0}
_IDL_RULE = "=" * 80 + "\nIDL: "


def full_name(kind: str) -> str:
    """The ROS 2 name of a type: pkg/msg/Type for pkg/Type."""
    package, _, name = kind.partition("/")
    return kind if not name or "/" in name else f"{package}/msg/{name}"


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
    """A new type store with the types of `known_types`, to serialise and describe messages."""
    store = get_typestore(Stores.EMPTY)
    store.register(known_types())
    return store


@functools.cache
def typestore_of(kind: str, definition: MessageDefinition) -> Typestore:
    """A type store that reads messages of one type, by the given definition or else the known one.

    Raises:
        ValueError: the definition cannot be read, and the type is not known.
    """
    why = "the bag does not describe it"
    if definition.format is not MessageDefinitionFormat.NONE:
        try:
            return _store(kind, {**known_types(), **_described(kind, definition)})
        except Exception as error:  # noqa: BLE001 - which one depends on the text
            why = f"the bag's definition of it cannot be read ({_first_line(error)})"
    if kind in known_types():
        return _store(kind, known_types())
    raise ValueError(f"{why}, and it is neither ROS 2 Jazzy's nor installed")


def _described(kind: str, definition: MessageDefinition) -> dict[str, Any]:
    text = definition.data
    if definition.format is MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(text, kind))
    types: dict[str, Any] = {}
    for part in text.split(_IDL_RULE)[1:] if _IDL_RULE in text else ["\n" + text]:
        types.update(get_types_from_idl(part.split("\n", 1)[1]))
    return types


def _store(kind: str, types: dict[str, Any]) -> Typestore:
    """A type store with one type and the types of its fields; the others may be broken."""
    needed: dict[str, Any] = {}
    open_ = [kind]
    while open_:
        name = open_.pop()
        if name in needed:
            continue
        if name not in types:
            raise ValueError(f"{name} is not known")
        needed[name] = types[name]
        open_ += [inner for _, field in types[name][1] if (inner := _named(field))]
    store = get_typestore(Stores.EMPTY)
    store.register(needed)
    store.get_msgdef(kind)
    return store


class BagMessages:
    """Makes messages to write into a bag; see `driving.messages.encoding.Messages`.

    Args:
        store: has the types.
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
        """The default of a field; `of` holds the details of its type, as rosbags has them."""
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


def _named(field: Any) -> str:
    """The message type that a field, or a list, consists of; empty if it has plain values."""
    node, content = field
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return _named(content[0])
    return str(content) if node == Nodetype.NAME else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
