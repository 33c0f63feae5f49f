# SPDX-License-Identifier: Apache-2.0
"""The views in config/, held against what RViz and Lichtblick read (test/data/viewers/)."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
_FACTS = ROOT / "test" / "data" / "viewers"
RVIZ, LICHTBLICK = (
    yaml.safe_load((_FACTS / file).read_text()) for file in ("rviz.yaml", "lichtblick.yaml")
)
RVIZ_FILE, FOXGLOVE_FILE = (
    ROOT / "config" / file for file in ("td3_driver.rviz", "foxglove_layout.json")
)
# Each with the topic, and the types that it may have; none: any.
Shown = Iterator[tuple[str, str, set[str]]]


def rviz_view() -> dict[str, Any]:
    view: dict[str, Any] = yaml.safe_load(RVIZ_FILE.read_text())
    return view


def foxglove_layout() -> dict[str, Any]:
    layout: dict[str, Any] = json.loads(FOXGLOVE_FILE.read_text())
    return layout


def wrong_in_rviz(view: dict[str, Any]) -> Iterator[str]:
    """What RViz would not read or not know, one by one."""
    manager = view["Visualization Manager"]
    for display in manager["Displays"]:
        known = RVIZ["displays"].get(display["Class"])
        if known is None:
            yield f"display {display['Class']}"
            continue
        own = {key: value for key, value in display.items() if key not in _OF_EACH}
        yield from _wrong(own, known["properties"], display["Name"])
    for each in (manager["Views"]["Current"], *manager["Views"]["Saved"]):
        if each["Class"] not in RVIZ["views"]:
            yield f"view {each['Class']}"
            continue
        own = {key: value for key, value in each.items() if key not in ("Class", "Name")}
        yield from _wrong(own, RVIZ["views"][each["Class"]], each["Name"])
    yield from _wrong(manager["Global Options"], RVIZ["global_options"], "Global Options")
    for kind, parts in (
        ("panels", view["Panels"]),
        ("tools", manager["Tools"]),
        ("transformers", manager["Transformation"].values()),
    ):
        yield from (f"{kind}: {part}" for part in parts if part["Class"] not in RVIZ[kind])


_FIXED = "<Fixed Frame>"  # as RViz calls it where a frame may be named
_OF_EACH = ("Class", "Name", "Enabled", "Value")


def _wrong(given: Any, known: Any, where: str) -> Iterator[str]:
    if isinstance(known, dict):
        for key, value in (given if isinstance(given, dict) else {"Value": given}).items():
            if key in known:
                yield from _wrong(value, known[key], f"{where}: {key}")
            else:
                yield f"{where}: {key}"
    elif not (given in known if isinstance(known, list) else _IS[known](given)):
        yield f"{where}: {given}"


_IS = {
    "boolean": lambda given: isinstance(given, bool),
    "integer": lambda given: isinstance(given, int) and not isinstance(given, bool),
    "number": lambda given: isinstance(given, int | float) and not isinstance(given, bool),
    "text": lambda given: isinstance(given, str),
    "topic": lambda given: isinstance(given, str) and re.fullmatch(r"(/\w+)+", given),
    "frame": lambda given: isinstance(given, str) and re.fullmatch(rf"{_FIXED}|\w+(/\w+)*", given),
    "color": lambda given: isinstance(given, str) and re.fullmatch(r"\d+; \d+; \d+", given),
}


def shown_in_rviz(view: dict[str, Any]) -> Shown:
    for display in view["Visualization Manager"]["Displays"]:
        if "Topic" in display:
            message = RVIZ["displays"][display["Class"]]["message"]
            yield display["Name"], display["Topic"]["Value"], {message}


def frames_in_rviz(view: dict[str, Any]) -> set[str]:
    manager = view["Visualization Manager"]
    views = (manager["Views"]["Current"], *manager["Views"]["Saved"])
    grids = (each.get("Reference Frame") for each in manager["Displays"])
    named = {each["Target Frame"] for each in views} | {*grids} - {None, _FIXED}
    return named | {manager["Global Options"]["Fixed Frame"]}


def wrong_in_foxglove(layout: dict[str, Any]) -> Iterator[str]:
    """What the viewer would not read or not know, one by one."""
    yield from (key for key in layout if key not in LICHTBLICK["layout"])
    if _panels(layout["layout"]) != {*layout["configById"]}:
        yield "layout: its panels are not those of configById"
    for name, config in layout["configById"].items():
        known = LICHTBLICK["panels"].get(_type(name))
        if known is None:
            yield f"panel {name}"
            continue
        names = (*known["names"], *LICHTBLICK["titles"])
        yield from (f"{name}: {key}" for key in config if key not in names)
        yield from _wrong_in_scene(name, config, known)
        for path in config.get("paths", ()):
            yield from (f"{name}: {key}" for key in path if key not in known["path"])


def _wrong_in_scene(name: str, config: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    image_mode = config.get("imageMode", {})
    yield from (f"{name}: {key}" for key in image_mode if key not in known.get("image_mode", ()))
    if _type(name) == "3D":
        if config["followMode"] not in known["follow_modes"]:
            yield f"{name}: {config['followMode']}"
        settings = {key for each in known["topics"].values() for key in each}
        for part, keys in (
            ({"": config["cameraState"]}, known["camera"]),
            (config["transforms"], known["transform"]),
            (config["layers"], known["layer"]),
            (config["topics"], settings),
        ):
            for each, values in part.items():
                yield from (f"{name}: {each} {key}" for key in values if key not in keys)
        yield from (
            f"{name}: {frame}" for frame in config["transforms"] if not frame.startswith("frame:")
        )


def shown_in_foxglove(layout: dict[str, Any]) -> Shown:
    for name, config in layout["configById"].items():
        known = LICHTBLICK["panels"][_type(name)]
        for topic in config.get("topics", ()):
            yield name, topic, {*known["topics"]}
        for key, topic in config.get("imageMode", {}).items():
            yield name, topic, {*known["image_mode"][key]}
        if "topicToRender" in config:
            yield name, config["topicToRender"], {*known["topicToRender"]}
        if "topicPath" in config:
            yield name, config["topicPath"], set()
        for topic, _ in plotted(config):
            yield name, topic, set()


def plotted(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The topics that a panel plots, each with the path of the field."""
    for path in config.get("paths", ()):
        topic, _, field = path["value"].partition(".")
        yield topic, field


def has_field(message: str, path: str) -> bool:
    """Whether messages of a type have the field; of a sequence, an element."""
    for name in path.split("."):
        package, _, kind = message.rpartition("/")
        module = importlib.import_module(f"{package.removesuffix('/msg').replace('/', '.')}.msg")
        fields = getattr(module, kind).get_fields_and_field_types()
        field, _, index = name.partition("[")
        if field not in fields:
            return False
        message = fields[field]
        if index:
            if not message.startswith("sequence<"):
                return False
            message = message.removeprefix("sequence<").removesuffix(">")
    return message in ("float", "double", "boolean") or message.startswith(("int", "uint"))


def frames_in_foxglove(layout: dict[str, Any]) -> set[str]:
    """Those that a view follows or shows."""
    scenes = [each for name, each in layout["configById"].items() if _type(name) == "3D"]
    shown = {
        frame.removeprefix("frame:")
        for scene in scenes
        for frame, settings in scene["transforms"].items()
        if settings["visible"]
    }
    grids = {layer["frameId"] for scene in scenes for layer in scene["layers"].values()}
    return shown | grids | {scene["followTf"] for scene in scenes}


def _type(panel: str) -> str:
    return panel.partition("!")[0]


def _panels(layout: dict[str, Any] | str) -> set[str]:
    if isinstance(layout, str):
        return {layout}
    return _panels(layout["first"]) | _panels(layout["second"])
