# SPDX-License-Identifier: Apache-2.0
"""The launch files' arguments, without `launch`: their tables, and what is refused."""

import dataclasses
import math
from pathlib import Path

import pytest

from td3_driver.bridge_twin.world_parameters import WorldParameters
from td3_driver.launching.arguments import (
    DRIVER,
    WORLD,
    Argument,
    ArgumentsError,
    Value,
    check_names,
    checked,
    place,
)
from td3_driver.launching.tables import evaluate_arguments, replay_arguments, train_arguments
from td3_driver.ros.driver.driver_parameters import DriverParameters

TABLES = {
    "train": train_arguments(),
    "evaluate": evaluate_arguments(),
    "replay": replay_arguments(),
}
NODES = {DRIVER: DriverParameters, WORLD: WorldParameters}
KINDS = {"str": str, "int": int, "float": float, "bool": bool}
NARROWER = {"mode": {"train", "replay", "observe"}}  # each launch file has its own


def settled(table: str, **given: str) -> dict[str, Value]:
    """The values with these given; those that must be given are there."""
    arguments = TABLES[table]
    usual = {each.name: each.default or "" for each in arguments}
    required = {each.name: __file__ for each in arguments if each.default is None}
    return checked(arguments, usual | required | given, {*required, *given})


def refusal(table: str, **given: str) -> str:
    with pytest.raises(ArgumentsError) as refused:
        settled(table, **given)
    return str(refused.value)


@pytest.mark.parametrize("table", TABLES)
def test_defaults_can_be_followed(table: str) -> None:
    values = settled(table)
    assert set(values) == {each.name for each in TABLES[table]}
    assert values["use_sim_time"] is True


@pytest.mark.parametrize(
    ("argument", "node"),
    [
        pytest.param(each, node, id=f"{table}-{each.name}-{node}")
        for table, arguments in TABLES.items()
        for each in arguments
        for node in each.nodes
        if each.name != "use_sim_time"  # every node's own
    ],
)
def test_an_argument_is_what_the_node_s_parameter_is(argument: Argument, node: str) -> None:
    fields = {field.name: field for field in dataclasses.fields(NODES[node])}
    field = fields[argument.name]
    meta = field.metadata
    assert argument.kind is KINDS[str(field.type)]
    if meta["choices"]:
        elsewhere = NARROWER.get(argument.name, set())
        assert {*argument.choices, *elsewhere} == set(meta["choices"])
    if argument.kind is int:
        assert argument.low == meta["low"]
        assert (argument.high or math.inf) == (meta["high"] or math.inf)


@pytest.mark.parametrize("table", ["train", "evaluate"])
def test_what_is_not_given_is_the_node_s_default(table: str) -> None:
    own = {"use_sim_time", "appearance", "resume", "episodes", "seed", "mode"}
    values = settled(table)
    for argument in TABLES[table]:
        for node in argument.nodes:
            if argument.name not in own:
                default = getattr(NODES[node](), argument.name)
                assert values[argument.name] == default, argument.name


@pytest.mark.parametrize("table", TABLES)
def test_every_argument_is_described_with_its_choices(table: str) -> None:
    for argument in TABLES[table]:
        assert len(argument.description) > 10
        assert all(choice in argument.help for choice in argument.choices)


def test_the_world_s_surroundings_are_arguments() -> None:
    names = {each.name for each in TABLES["train"]}
    assert {"traffic", "pedestrians", "difficulty", "scenery", "appearance", "map"} <= names


@pytest.mark.parametrize(
    ("argument", "text", "reason"),
    [
        ("steps", "many", "not a whole number of at least 0"),
        ("steps", "1.5", "not a whole number of at least 0"),
        ("seed", "-1", "not a whole number of at least 0"),
        ("traffic", "1001", "not a whole number from 0 to 1000"),
        ("port", "0", "not a whole number from 1 to 65535"),
        ("timeout", "nan", "not a number above 0"),
        ("timeout", "0", "not a number above 0"),
        ("timeout", "inf", "not a number above 0"),
        ("world", "mars", "not one of embedded, carla"),
        ("stepping", "x", "not one of lockstep, realtime"),
        ("bridge", "x", "not one of start, expect"),
        ("preset", "none", "not one of default, "),
        ("appearance", "pink", "not one of plain, random, mixed"),
        ("world", "", "empty"),
        ("town", "", "empty"),
        ("autostart", "maybe", "neither true nor false"),
        ("role_name", "a b", "not a part of a topic's name"),
        ("camera", "/front", "not a part of a topic's name"),
        ("map", "/no/such.xodr", "no such file"),
        ("map", f"{__file__}:city:/no/such.xodr", "/no/such.xodr: no such file"),
        ("resume", "/no/such.pth", "no such file"),
        ("routes", "/no/such.xml", "no such file"),
        ("params_file", "/no/such.yaml", "no such file"),
        ("params_file", "/", "no such file"),
        ("objects_definition_file", "/no/such.json", "no such file"),
    ],
)
def test_what_cannot_be_followed_is_named_with_the_reason(
    argument: str, text: str, reason: str
) -> None:
    assert refusal("train", **{argument: text}).startswith(f"{argument}:={text}: {reason}")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    said = refusal("replay", bag="/no/bag", rate="0", use_sim_time="perhaps").splitlines()
    assert [line.split(":=")[0] for line in said] == ["bag", "rate", "use_sim_time"]


@pytest.mark.parametrize(("text", "value"), [("True", True), ("no", False), ("1", True)])
def test_booleans_are_as_launch_and_yaml_write_them(text: str, value: bool) -> None:
    assert settled("train", scenery=text)["scenery"] is value


def test_given_goes_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters: {role_name: hero, autostart: false, use_sim_time: false}\n"
        "/td3_driver:\n  ros__parameters: {seed: 3, steps: 500}\n"
        "another_node:\n  ros__parameters: {preset: origin}\n"
    )
    values = settled("train", params_file=str(file), steps="7")
    assert values["role_name"] == "hero"  # the world's and the bridge's, too
    assert (values["autostart"], values["use_sim_time"]) == (False, False)
    assert (values["seed"], values["steps"], values["preset"]) == (3, 7, "default")


def test_a_bad_value_in_the_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("td3_driver:\n  ros__parameters: {steps: many, stepping: slow}\n")
    said = refusal("train", params_file=str(file)).splitlines()
    assert said == [
        f"params_file {file}: stepping: slow: not one of lockstep, realtime",
        f"params_file {file}: steps: many: not a whole number of at least 0",
    ]


@pytest.mark.parametrize(
    ("driver", "role_name"),
    [("/td3_driver", "own"), ("/a/td3_driver", "a"), ("/b/c/td3_driver", "b")],
)
def test_a_file_says_what_ros_takes_it_to_say_in_any_namespace(
    driver: str, role_name: str, tmp_path: Path
) -> None:
    """ROS' patterns; what comes later goes over; the driver's section is its in any namespace."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/*: {ros__parameters: {role_name: all, seed: 3}}\n"
        "td3_driver: {ros__parameters: {role_name: own, steps: 5}}\n"
        "a: {td3_driver: {ros__parameters: {role_name: a}}}\n"
        "/b/**/td3_driver: {ros__parameters: {role_name: b}}\n"
        "/**/other: {ros__parameters: {role_name: other}}\n"
        "/**: {ros__parameters: {seed: 4}}\n"
    )
    usual = {each.name: each.default or "" for each in TABLES["train"]}
    texts = usual | {"params_file": str(file)}
    values = checked(TABLES["train"], texts, {"params_file"}, driver)
    assert (values["role_name"], values["steps"], values["seed"]) == (role_name, 5, 4)


def test_a_path_may_begin_with_the_user_s_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("td3_driver: {ros__parameters: {resume: ~/a.pth}}\n")
    (tmp_path / "a.pth").touch()
    values = settled("train", params_file="~/mine.yaml")
    assert values["params_file"] == f"{tmp_path}/mine.yaml"
    assert values["resume"] == f"{tmp_path}/a.pth"


@pytest.mark.parametrize(
    "content",
    [
        "td3_driver: [1]\n", "td3_driver: {ros__parameters: [1]}\n", "a: b: c\n", "7\n", "",
        "td3_driver: {ros__parameters: {resume: }}\n", "other: {ros__parameters: {steps: 1}}\n",
    ],
)  # fmt: skip
def test_a_file_that_is_no_parameter_file_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    said = refusal("train", params_file=str(file))
    assert said.startswith("params_file: ")
    assert str(file) in said
    assert "\n" not in said


def test_arguments_that_there_are_not_are_refused() -> None:
    known = [each.name for each in TABLES["train"]]
    check_names(["steps", "launch-prefix"], known)
    with pytest.raises(ArgumentsError, match="stepz: no such argument; did you mean steps"):
        check_names(["steps", "stepz"], known)
    with pytest.raises(ArgumentsError, match="zzz: no such argument; --show-args"):
        check_names(["zzz"], known)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"world": "carla", "town": "Town03"}, "Town03"),
        ({"difficulty": "curvy"}, "curvy"),
        ({"map": __file__}, __file__),
    ],
)
def test_launched_runs_are_named_after_where_they_drive(given: dict[str, str], name: str) -> None:
    assert place(settled("train", **given)) == name
