# SPDX-License-Identifier: Apache-2.0
"""Calls with arguments of every shape: a stranger gets an answer, and never an internal error."""

from __future__ import annotations

import math
import typing
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from td3_driver.carla_server.library.blueprints import LIBRARY
from td3_driver.carla_server.structures import ActorDescription

from .serving import MAPS
from .stranger import CALLS, Stranger

HINTS = {
    name: [
        hint
        for parameter, hint in typing.get_type_hints(function, include_extras=True).items()
        if parameter != "return"
    ]
    for kind in CALLS
    for name, function in vars(kind).items()
    if not name.startswith("_")
}
SLOW = {"load_new_episode"}  # has a test of its own

INTEGERS = st.one_of(
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -(2**31) - 1, -(2**63)]),
)
FLOATS = st.one_of(
    st.floats(-1e3, 1e3),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e300, 5e-324, 9.99e6, -9.99e6, 1e39]),
)
TEXTS = st.sampled_from(
    ["", "x", "a" * 2000, "../../etc/passwd", "/etc/passwd", "\0", "\udcff", "nan", "1e400", "é"]
)
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.binary(max_size=30)
ANYTHING = st.recursive(
    LEAVES | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def stranger() -> Stranger:
    stranger = Stranger(MAPS / "circle.xodr")
    at = stranger.value("get_map_info")[1][0]
    for kind in ("vehicle.tesla.model3", "sensor.other.imu", "sensor.camera.rgb"):
        stranger.spawn(kind, at)
    return stranger


def _of(hint: Any, ids: list[int]) -> st.SearchStrategy[Any]:
    """Values of a type as they stand on the wire, some of them out of every range."""
    if hint is ActorDescription:
        kind = st.sampled_from(sorted(LIBRARY)) | TEXTS
        name = st.sampled_from(["fov", "image_size_x", "sensor_tick", "color", "noise_seed"])
        attribute = st.tuples(name | TEXTS, INTEGERS, TEXTS | st.sampled_from(["1", "0", "-1"]))
        return st.tuples(INTEGERS, kind, st.lists(attribute.map(list), max_size=4)).map(list)
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        parts = [_of(hints[part.name], ids) for part in fields(hint)]
        return st.tuples(*parts).map(list)
    if typing.get_origin(hint) is Annotated:
        return INTEGERS
    if typing.get_origin(hint) is list:
        return st.lists(_of(typing.get_args(hint)[0], ids), max_size=3)
    if typing.get_args(hint):  # an optional
        some = _of(typing.get_args(hint)[0], ids).map(lambda value: [True, value])
        return st.just([False]) | some
    plain = {
        bool: st.booleans(),
        int: INTEGERS | st.sampled_from(ids),
        float: FLOATS,
        str: TEXTS,
        bytes: st.binary(max_size=30),
    }
    return plain.get(hint, ANYTHING)


@pytest.mark.parametrize("name", sorted(set(HINTS) - SLOW))
def test_whatever_the_arguments_are_the_client_gets_an_answer(
    stranger: Stranger, name: str
) -> None:
    ids = stranger.ids()
    right = st.tuples(*(_of(hint, ids) for hint in HINTS[name])).map(list)
    wrong = st.tuples(*(_of(hint, ids) | ANYTHING for hint in HINTS[name])).map(list)
    if name == "apply_batch":
        command = st.tuples(
            st.integers(-1, 23), st.lists(st.sampled_from(ids) | ANYTHING, max_size=4)
        ).map(lambda command: [list(command)])
        right = st.tuples(st.lists(command, max_size=3), st.booleans()).map(list)

    @settings(max_examples=8, database=None, derandomize=True, phases=[Phase.generate])
    @given(right | wrong | st.lists(ANYTHING, max_size=9))
    def check(arguments: list[Any]) -> None:
        stranger.call(name, *arguments)

    check()
    stranger.server.tick()
    for actor in stranger.server.episode.actors.values():
        assert len(actor.state()) == 119
