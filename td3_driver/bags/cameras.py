# SPDX-License-Identifier: Apache-2.0
"""Finds the camera that shows the road ahead among several, by names and messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from td3_driver.bags.reading import Bag

# What a name or a frame says of a picture that is no camera's, or not of what is ahead.
_NO_PICTURE = {
    "depth", "disparity", "semantic", "segmentation", "semseg", "instance", "mask", "dvs",
    "events", "lidar", "radar", "infra", "infrared", "ir", "thermal", "normals", "flow",
    "costmap", "debug", "overlay", "annotated", "detections",
}  # fmt: skip
_ELSEWHERE = {
    "rear", "back", "behind", "left", "right", "side", "top", "bottom", "up", "down",
    "bird", "birdeye", "birdseye", "bev", "view", "third", "spectator", "chase", "cabin", "driver",
}  # fmt: skip
_AHEAD = {"front", "forward", "ahead"}
_COLOUR = {"rgb", "color", "colour"}
_DISTANCES = re.compile(r"(16U|16S|32F|32S|64F)C1|.*compressedDepth.*")
_TRANSPORT = re.compile(r"/(compressed|compressedDepth|theora|zstd)$")
# Of one camera, the nearest to what its driver gave.
_LEAVES = ("image", "image_raw", "image_color", "image_rect_color", "image_rect", "image_mono")


@dataclass(frozen=True)
class _Camera:
    """A camera topic and what is known of its pictures.

    Attributes:
        kind: the words of its topic and frame_id that not all of the topics have.
        view: those of them that say where it looks: all in the bridge's topics, elsewhere the
            words of the frame_id.
        distances: its pixels are distances, not colours.
        calibrated: a camera_info is sent beside it.
    """

    topic: str
    kind: frozenset[str]
    view: frozenset[str]
    distances: bool
    calibrated: bool


_Rule = Callable[[_Camera], bool]
_RULES: tuple[tuple[_Rule, str], ...] = (
    (lambda camera: not camera.view & _ELSEWHERE, "looks not to a side, back or down"),
    (lambda camera: bool(camera.view & _AHEAD), "looks ahead"),
    (lambda camera: bool(camera.kind & _COLOUR), "is in colour"),
    (lambda camera: camera.calibrated, "has a camera_info"),
)


def road_ahead(bag: Bag, topics: Sequence[str]) -> tuple[list[str], str]:
    """The topics that may show the road ahead, and the rules by which the others do not.

    One topic if that is clear, else several.
    """
    described, reasons = _described(bag, topics), list[str]()
    cameras = _that(_is_picture, "shows neither distances nor classes", described, reasons)
    best = {
        _camera_of(camera.topic): camera for camera in sorted(cameras, key=_rank, reverse=True)
    }
    cameras = _that(lambda one: one in best.values(), "is the least processed", cameras, reasons)
    for rule, reason in _RULES:
        cameras = _that(rule, reason, cameras, reasons)
    return [camera.topic for camera in cameras], " and ".join(reasons)


def _that(rule: _Rule, reason: str, cameras: list[_Camera], reasons: list[str]) -> list[_Camera]:
    """The cameras that fit a rule, and its reason noted; all where none or each of them fits."""
    left = [camera for camera in cameras if rule(camera)]
    if not left or len(left) == len(cameras):
        return cameras
    reasons.append(reason)
    return left


def _is_picture(camera: _Camera) -> bool:
    return not camera.distances and not camera.kind & _NO_PICTURE


def _described(bag: Bag, topics: Sequence[str]) -> list[_Camera]:
    first = {topic: next(bag.messages(topic), None) for topic in topics}
    frames = {
        topic: str(getattr(getattr(seen.message, "header", None), "frame_id", "")) if seen else ""
        for topic, seen in first.items()
    }
    kinds = _told_apart(topics)
    views = _told_apart(list(frames.values()))
    described = []
    for topic, kind, view in zip(topics, kinds, views, strict=True):
        seen = first[topic]
        message = seen.message if seen is not None else None
        encoding = getattr(message, "encoding", None) or getattr(message, "format", "")
        described.append(
            _Camera(
                topic,
                kind | view,
                view | kind if topic.startswith("/carla/") else view,
                bool(_DISTANCES.fullmatch(str(encoding).partition("; png")[0])),
                f"{_TRANSPORT.sub('', topic).rpartition('/')[0]}/camera_info" in bag.topics,
            )
        )
    return described


def _told_apart(names: Sequence[str]) -> list[frozenset[str]]:
    """The words of each name without the words that all names share."""
    words = [frozenset(_words(name)) for name in names]
    common = frozenset.intersection(*words)
    return [own - common for own in words]


def _words(name: str) -> list[str]:
    """The lower-case words of a name: cam, front in CAM_FRONT, camFront and cam/front."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _camera_of(topic: str) -> str:
    """The common name of all topics of one camera: their namespace, if they have usual names."""
    plain = _TRANSPORT.sub("", topic)
    namespace, _, leaf = plain.rpartition("/")
    return namespace if leaf in _LEAVES else plain


def _rank(camera: _Camera) -> tuple[bool, int]:
    """A sort key: the lower, the less the picture was processed since the camera took it."""
    plain = _TRANSPORT.sub("", camera.topic)
    leaf = plain.rpartition("/")[2]
    return plain != camera.topic, _LEAVES.index(leaf) if leaf in _LEAVES else len(_LEAVES)
