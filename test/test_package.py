# SPDX-License-Identifier: Apache-2.0
"""The ROS package: manifest, launch files, parameter files, and a real colcon build."""

import ast
import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from td3_driver.configuration import load_configuration, preset_names
from td3_driver.ros.driver_parameters import DriverParameters
from td3_driver.world.world_node import WorldParameters

ROOT = Path(__file__).resolve().parents[1]
PREFIX = Path(sys.prefix)
TRAIN_LAUNCH = ROOT / "launch" / "train.launch.py"
EVALUATE_LAUNCH = ROOT / "launch" / "evaluate.launch.py"


IN_VENV = pytest.mark.skipif(
    sys.prefix == sys.base_prefix, reason="not in a virtual environment: colcon has installed it"
)


def constants(file: Path) -> dict[str, ast.expr]:
    """The module-level assignments of a launch file, which cannot be imported without ROS."""
    found = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def test_manifest_names_every_ros_package_that_is_imported() -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {element.text for element in manifest.iter() if element.tag.endswith("depend")}
    imported = set()
    for file in (ROOT / "td3_driver").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    ros = {name for name in imported if name.endswith(("_msgs", "_srvs"))}
    ros |= {"rclpy", "ament_index_python", "rcl_interfaces", "builtin_interfaces"} & imported
    assert ros <= declared
    assert manifest.attrib["format"] == "3"


def test_launch_arguments_are_described_and_known_to_the_nodes() -> None:
    named = constants(TRAIN_LAUNCH)
    arguments = named["ARGUMENTS"]
    assert isinstance(arguments, ast.Dict)
    keys = {ast.literal_eval(key) for key in arguments.keys if key is not None}
    for key, value in zip(arguments.keys, arguments.values, strict=True):
        assert isinstance(value, ast.Tuple)
        assert len(ast.literal_eval(value.elts[1])) > 10, key
    for constant, parameters in (
        ("DRIVER_ARGUMENTS", DriverParameters),
        ("WORLD_ARGUMENTS", WorldParameters),
    ):
        names = {field.name for field in dataclasses.fields(parameters)}
        given = set(ast.literal_eval(named[constant]))
        assert given <= names
        assert given <= keys
        integers = {field.name for field in dataclasses.fields(parameters) if field.type == "int"}
        assert integers & given <= set(ast.literal_eval(named["INTEGERS"]))
        booleans = {field.name for field in dataclasses.fields(parameters) if field.type == "bool"}
        assert booleans & given <= set(ast.literal_eval(named["BOOLEANS"]))


@pytest.mark.parametrize(
    ("world", "town", "map_file", "place"),
    [
        ("carla", "Town03", "", "Town03"),
        ("embedded", "Town01", "", "easy"),
        ("embedded", "Town01", "/maps/Bob's town.xodr", "/maps/Bob's town.xodr"),
    ],
)
def test_launched_runs_are_named_after_where_they_drive(
    world: str, town: str, map_file: str, place: str
) -> None:
    given = {"world": world, "town": town, "map": map_file}
    call = constants(TRAIN_LAUNCH)["PLACE"]
    assert isinstance(call, ast.Call)
    assert isinstance(call.args[0], ast.List)
    parts = [
        given[ast.literal_eval(part.args[0])]
        if isinstance(part, ast.Call)
        else ast.literal_eval(part)
        for part in call.args[0].elts
    ]
    assert eval("".join(parts), {}) == place  # as launch's PythonExpression does


def test_evaluate_launch_declares_only_arguments_of_the_launch_file_that_it_includes() -> None:
    known = {ast.literal_eval(key) for key in constants(TRAIN_LAUNCH)["ARGUMENTS"].keys if key}
    declared = [
        node
        for node in ast.walk(ast.parse(EVALUATE_LAUNCH.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"
    ]
    assert len(declared) == 3
    for call in declared:
        assert ast.literal_eval(call.args[0]) in known
        assert "description" in {keyword.arg for keyword in call.keywords}


def test_parameter_file_and_presets_are_valid() -> None:
    content = yaml.safe_load((ROOT / "config" / "td3_driver.yaml").read_text())
    names = {field.name for field in dataclasses.fields(DriverParameters)}
    assert set(content["td3_driver"]["ros__parameters"]) <= names
    assert {"default", "origin"} <= set(preset_names())
    for name in preset_names():
        load_configuration(name)


@IN_VENV
def test_installed_commands_run_in_a_fresh_shell() -> None:
    done = subprocess.run(
        [str(PREFIX / "bin" / "td3_driver"), "--help"],
        env={"HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "train" in done.stdout


@IN_VENV
def test_colcon_builds_the_package(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{PREFIX / 'bin'}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(PREFIX),
        "CMAKE_PREFIX_PATH": str(PREFIX),
        "PYTHONPATH": "",
    }
    colcon = [str(PREFIX / "bin" / "colcon"), "--log-base", str(tmp_path / "log")]
    listed = subprocess.run(
        [*colcon, "list", "--base-paths", str(ROOT), "--names-only"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == ["td3_driver"]  # not interfaces/carla_msgs
    built = subprocess.run(
        [*colcon, "build", "--base-paths", str(ROOT), "--build-base", str(tmp_path / "build"),
         "--install-base", str(tmp_path / "install")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    prefix = tmp_path / "install" / "td3_driver"
    for relative in (
        "share/td3_driver/package.xml",
        "share/td3_driver/launch/train.launch.py",
        "share/td3_driver/launch/evaluate.launch.py",
        "share/td3_driver/config/td3_driver.yaml",
        "share/td3_driver/config/ego_vehicle.json",
        "share/td3_driver/config/presets/default.yaml",
        "share/ament_index/resource_index/packages/td3_driver",
        "lib/td3_driver/driver_node",
        "lib/td3_driver/world_node",
        "lib/td3_driver/td3_driver",
    ):
        assert (prefix / relative).is_file(), relative
    installed = next(prefix.glob("lib/python3.*/site-packages"))
    script = "from td3_driver.configuration import share_directory as s; print(s())"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": str(installed),
             "AMENT_PREFIX_PATH": f"{prefix}:{PREFIX}"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(prefix / "share" / "td3_driver")
