# SPDX-License-Identifier: Apache-2.0
"""The design's layers, kept by reading imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "td3_driver"
ROS = {
    "rclpy", "carla_msgs", "sensor_msgs", "nav_msgs", "geometry_msgs", "std_msgs", "std_srvs",
    "diagnostic_msgs", "rosgraph_msgs", "rcl_interfaces", "builtin_interfaces",
    "derived_object_msgs", "shape_msgs",
}  # fmt: skip
# World's front ends speak ROS; the world itself does not.
FRONT_ENDS = {
    "bridge_twin/world_node.py", "bridge_twin/services.py", "bridge_twin/topics.py",
    "bridge_twin/world_parameters.py",
}  # fmt: skip
FORBIDDEN = {
    "opendrive": ROS | {"torch", "cv2", "networkx", "td3_driver.driving", "td3_driver.world",
                        "td3_driver.agent", "td3_driver.ros", "td3_driver.online"},
    "agent": ROS | {"carla", "cv2", "td3_driver.driving", "td3_driver.world", "td3_driver.ros",
                    "td3_driver.online", "td3_driver.evaluation"},
    "driving": ROS | {"torch", "td3_driver.agent", "td3_driver.world", "td3_driver.ros",
                      "td3_driver.online", "td3_driver.evaluation"},
    "world": ROS | {"torch", "td3_driver.agent", "td3_driver.online", "td3_driver.ros"},
    "online": ROS | {"td3_driver.ros", "td3_driver.world", "td3_driver.evaluation"},
    "bags": ROS | {"torch", "carla", "td3_driver.agent", "td3_driver.driving", "td3_driver.world",
                   "td3_driver.online", "td3_driver.ros", "td3_driver.evaluation"},
    "evaluation": {"rclpy", "td3_driver.ros"},
    "ros": {"td3_driver.evaluation", "scipy", "shapely"},
    "launching": ROS | {"torch", "cv2", "numpy", "td3_driver.agent", "td3_driver.driving",
                        "td3_driver.world", "td3_driver.online", "td3_driver.evaluation"},
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    place = file.relative_to(PACKAGE)
    if str(place) in FRONT_ENDS or place.parts[0] not in FORBIDDEN:
        return
    for name in imports(file):
        parts = name.split(".")
        parents = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        assert not parents & FORBIDDEN[place.parts[0]], f"{place} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_needs_the_command_line(file: Path) -> None:
    place = str(file.relative_to(PACKAGE))
    if place != "cli.py" and not place.startswith("commands/"):
        assert not any(name.startswith("td3_driver.commands") for name in imports(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_file_has_its_licence_and_a_size(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    assert len(lines) <= 320


def test_the_product_runs_without_carla_s_package() -> None:
    """It is bound to a server's version and to few versions of Python; tests compare with it."""
    assert not [file for file in FILES if "carla" in imports(file)]


def test_maths_is_not_in_the_ros_layer() -> None:
    """`ros/` wires; only conversions between representations may compute."""
    for file in (PACKAGE / "ros").glob("*.py"):
        if file.name != "conversions.py":
            assert "numpy" not in imports(file), file.name
