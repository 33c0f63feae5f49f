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

from td3_driver.configuration import load_configuration
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.share import preset_names

ROOT = Path(__file__).resolve().parents[1]
PREFIX = Path(sys.prefix)


IN_VENV = pytest.mark.skipif(
    sys.prefix == sys.base_prefix, reason="not in a virtual environment: colcon has installed it"
)

# What the code imports, by rosdep's key; everything else is a ROS package of the module's name.
KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "gymnasium": "python3-gymnasium-pip",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "msgpack": "python3-msgpack",
    "networkx": "python3-networkx",
    "numpy": "python3-numpy",
    "rosbags": "python3-rosbags-pip",
    "scipy": "python3-scipy",
    "shapely": "python3-shapely",
    "torch": "python3-torch",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
# rosdep has no key for them; `pip install` by these names.
WITHOUT_KEY = {
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "pyclothoids": "scenariogeneration",
    "ray": "ray",
    "scenariogeneration": "scenariogeneration",
    "vehiclemodels": "commonroad-vehicle-models",
}
# What is used, but not by an import.
ALSO = {
    "python3-onnxruntime-pip",  # by name, at runtime
    "python3-pytorch-pip",  # the same as python3-torch
    "python3-tensorboard-pip",  # by torch
    "rosgraph_msgs",  # by name: `driving/messages/topics.py`
    "rosbag2_storage_mcap", "ros2bag", "ros2launch", "ros2run",
}  # fmt: skip


def imported() -> set[str]:
    """Top-level modules of others that the code imports."""
    found = set()
    for file in [*(ROOT / "td3_driver").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"td3_driver", "backports"}  # of rosbags


def test_manifest_names_what_is_used_and_nothing_else() -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {element.text for element in manifest.iter("exec_depend")}
    used = {KEYS.get(name, name) for name in imported() - set(WITHOUT_KEY)}
    assert declared == used | ALSO
    assert manifest.attrib["format"] == "3"


def test_the_documents_say_what_rosdep_has_no_key_for() -> None:
    text = (ROOT / "docs" / "carla.md").read_text()
    assert all(name in text for name in WITHOUT_KEY.values())


def test_a_sourced_ros_installation_stays_out_of_what_make_runs() -> None:
    sourced = {
        "PYTHONPATH": "/opt/ros/lib/python3/site-packages",
        "AMENT_PREFIX_PATH": "/opt/ros",
        "LD_LIBRARY_PATH": "/opt/ros/lib",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
    }
    shown = subprocess.run(
        ["make", "--eval", "show:\n\t@env", "show"],
        env={**os.environ, **sourced}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {line.split("=")[0] for line in shown.stdout.splitlines()}
    assert "PATH" in names
    assert not names & set(sourced)


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
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "linked"])
def test_colcon_builds_the_package(options: tuple[str, ...], tmp_path: Path) -> None:
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
         "--install-base", str(tmp_path / "install"), *options],
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
    if options:  # a link to where it was built, for the import system and for the executables
        installed = tmp_path / "build" / "td3_driver"
        assert (installed / "td3_driver").is_symlink()
    script = "from td3_driver.share import share_directory as s; print(s())"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": str(installed),
             "AMENT_PREFIX_PATH": f"{prefix}:{PREFIX}"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(ROOT if options else prefix / "share" / "td3_driver")
