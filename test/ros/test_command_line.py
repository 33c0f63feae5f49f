# SPDX-License-Identifier: Apache-2.0
"""What a node is started with: help, and nothing that is passed over without a word."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node

from td3_driver.bridge_twin.world_parameters import WorldParameters
from td3_driver.configuration import share_directory
from td3_driver.ros.command_line import ParameterFileError, check, given_files, sections
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.driver.node import PURPOSE
from td3_driver.ros.parameters import ParameterError, declare, read

Start = Callable[..., Node]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A node with this command line."""
    context = rclpy.Context()
    nodes: list[Node] = []

    def make(*ros_arguments: str) -> Node:
        monkeypatch.setattr(sys, "argv", ["driver_node", "--ros-args", *ros_arguments])
        context.init(args=sys.argv)
        nodes.append(Node("td3_driver", context=context))
        return nodes[0]

    yield make
    nodes[0].destroy_node()
    context.try_shutdown()


def written(folder: Path, text: str) -> str:
    file = folder / "params.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("parameters", [DriverParameters, WorldParameters])
def test_help_has_every_parameter(
    parameters: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["driver_node", "--help"])
    with pytest.raises(SystemExit) as end:
        check("driver_node", PURPOSE, parameters)
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: driver_node [--help] [--ros-args")
    assert PURPOSE in text
    for field in parameters.__dataclass_fields__.values():  # type: ignore[attr-defined]
        assert f" {field.name}: " in text
        assert " ".join(field.metadata["description"].split()) in text
    if parameters is DriverParameters:
        assert "steps: integer, default 0, 0 or more " in text
        assert "mode: string, default train, one of train, evaluate, replay, observe " in text
        assert "exploration: double, default 1.0, 0 to 10, may be set while it runs " in text
        assert "resume: string, default empty " in text


@pytest.mark.parametrize("words", [["steps:=5"], ["--ros-args", "-p", "seed:=1", "--", "--fast"]])
def test_what_ros_would_pass_over_is_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["driver_node", *words])
    with pytest.raises(SystemExit) as end:
        check("driver_node", PURPOSE, DriverParameters)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"unknown argument {words[-1]}; parameters are given as --ros-args" in line


def test_what_is_ros_own_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--ros-args", "-p", "steps:=5", "-r", "__ns:=/a", "--params-file", "x.yaml"]
    monkeypatch.setattr(sys, "argv", ["driver_node", *words])
    check("driver_node", PURPOSE, DriverParameters)
    assert given_files() == [Path("x.yaml")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        ("a: b: c", "not YAML"),
        ("steps: 5", "expected NODE: {ros__parameters: {NAME: VALUE}}"),
        ("", "expected NODE"),
        ("[1, 2]", "expected NODE"),
        ("td3_driver: {ros__parameters: }", "expected NODE"),
        ("a: {ros__parameters: {b: {c: }}}", 'b.c of /a has no value; an empty text is ""'),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "gone.yaml" if text is None else Path(written(tmp_path, text))
    with pytest.raises(ParameterFileError, match=f"params file {file}: ") as error:
        sections(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "node",
    [
        "td3_driver", "/td3_driver", "/**", "/*", "/**/td3_driver",
        "other: {ros__parameters: {x: 1}}\ntd3_driver",
    ],
)
def test_a_file_for_this_node(start: Start, tmp_path: Path, node: str) -> None:
    file = written(tmp_path, f"{node}: {{ros__parameters: {{steps: 5}}}}")
    assert declare(start("--params-file", file), DriverParameters).steps == 5


@pytest.mark.parametrize("name", ["driver", "/a/td3_driver", "a: {td3_driver", "/*/td3_driver"])
def test_a_file_for_another_node(start: Start, tmp_path: Path, name: str) -> None:
    ends = "}" if "{" in name else ""
    file = written(tmp_path, f"{name}: {{ros__parameters: {{steps: 5}}}}{ends}")
    full = "/" + name.replace(": {", "/").strip("/")
    said = f"params file {file}: has parameters for {full}, none for /td3_driver, which is this"
    with pytest.raises(ParameterFileError) as error:
        declare(start("--params-file", file), DriverParameters)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("use", ["td3_driver", "/**/td3_driver", "option"])
def test_a_name_that_the_node_does_not_know(start: Start, tmp_path: Path, use: str) -> None:
    file = written(tmp_path, f"{use}: {{ros__parameters: {{use_sim_time: true, stpes: 5}}}}")
    words = ("-p", "stpes:=5") if use == "option" else ("--params-file", file)
    said = r"parameter stpes: /td3_driver has none of that name \(do you mean steps\?\)"
    with pytest.raises(ParameterError, match=said):
        declare(start(*words), DriverParameters)


def test_what_is_said_to_all_nodes_may_be_another_s(start: Start, tmp_path: Path) -> None:
    file = written(tmp_path, "/**: {ros__parameters: {steps: 5, lidar: {rate_hz: 10.0}}}")
    assert declare(start("--params-file", file), DriverParameters).steps == 5


def test_a_path_may_begin_with_the_user_s_home(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`checkpoint_dir:=~/runs` would make a folder `~`: no shell looks behind `:=`."""
    monkeypatch.setenv("HOME", "/home/me")
    node = start("-p", "checkpoint_dir:=~/run", "-p", "checkpoint_roots:=~/a:/b:~")
    values = declare(node, DriverParameters)
    assert values == read(node, DriverParameters)
    assert (values.checkpoint_dir, values.resume) == ("/home/me/run", "")
    assert values.checkpoint_roots == "/home/me/a:/b:/home/me"


def test_our_own_file_is_one(start: Start) -> None:
    file = share_directory() / "config" / "td3_driver.yaml"
    assert declare(start("--params-file", str(file)), DriverParameters).world_timeout_s == 10.0
