# SPDX-License-Identifier: Apache-2.0
"""Nothing here uses what Humble's rclpy does not have; read, since Humble cannot be run here.

`test/data/rclpy_3_3` has type stubs of its API; mypy finds every name, method and argument that is
not in them, through annotations and what follows from them, and what Python 3.10 does not have.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mypy", reason="reads our code with mypy, which is not installed")

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).resolve().parents[1] / "data" / "rclpy_3_3"
ROS_IMPORT = re.compile(r"^\s*(from|import) (rclpy|\w+_(msgs|srvs)|builtin_interfaces)\b", re.M)
CONFIG = f"""
[mypy]
python_version = 3.10
mypy_path = {RECORD}
no_site_packages = True
check_untyped_defs = True
follow_imports = silent
"""
MISSING = re.compile(r'module named "([a-z0-9_]+)')
# Uses that newer versions allow, each on a line that has to be refused.
NEWER = """
from rclpy.event_handler import SubscriptionEventCallbacks  # refused
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor  # refused
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.subscription import MessageInfo, Subscription  # refused
from rclpy.type_description_service import TypeDescriptionService  # refused
from std_msgs.msg import Bool

from td3_driver.ros.driver.node import DriverNode
from td3_driver.ros.wires import Wires


class Newer(LifecycleNode):
    def __init__(self) -> None:
        super().__init__("newer", enable_logger_service=True)  # refused
        self.add_post_set_parameters_callback(print)  # refused
        self.create_timer(1.0, print, autostart=False)  # refused

    def on_message(self, message: Bool, info: dict[str, int]) -> None: ...

    def listen(self, wires: Wires) -> None:
        self.create_subscription(Bool, "topic", self.on_message, 1)  # refused
        wires.listen(Bool, "topic", self.on_message, wires.publish(Bool, "", 1).qos)  # refused


def newer(node: Node, executor: SingleThreadedExecutor, driver: DriverNode) -> None:
    driver.add_pre_set_parameters_callback(print)  # refused
    node.get_logger().info("text", throttle_time_sec=1.0)  # refused
    node.create_subscription(Bool, "topic", print, 1, content_filter_options=None)  # refused
    executor.spin_until_future_complete(None, timeout=1.0)  # refused
    match [client.call(None, timeout_sec=1.0) for client in node.clients]:  # refused
        case []:
            import tomllib  # refused
"""


def sources() -> Iterator[Path]:
    """The files in which ROS is spoken."""
    for file in sorted((ROOT / "td3_driver").rglob("*.py")):
        if file.parent.name == "ros" or ROS_IMPORT.search(file.read_text()):
            yield file


def messages_imported(file: Path) -> Iterator[tuple[str, str]]:
    """Package and name of each message and service type."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, kind = node.module.partition(".")
            if kind in ("msg", "srv", "action"):
                yield from ((package, alias.name) for alias in node.names)


def counts(line: str) -> bool:
    """An error; that neither libraries nor message packages are there for mypy is none."""
    missing = MISSING.search(line)
    expected = missing and missing[1] != "rclpy" and missing[1] not in sys.stdlib_module_names
    return ": error:" in line and not expected and "[import-untyped]" not in line


def test_every_use_of_rclpy_is_one_that_humble_has(tmp_path: Path) -> None:
    newer, config = tmp_path / "newer.py", tmp_path / "mypy.ini"
    newer.write_text(NEWER)
    config.write_text(CONFIG)
    files = list(sources())
    assert len(files) > 20
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache",
         "--no-error-summary", newer, *files],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stdout.splitlines() if counts(line)]
    assert not done.stderr
    assert [line for line in complaints if not line.startswith(str(newer))] == []
    refused = {int(line.split(":")[1]) for line in complaints}
    wanted = {n for n, line in enumerate(NEWER.splitlines(), 1) if "# refused" in line}
    assert refused == wanted


def test_every_message_type_is_one_that_humble_has() -> None:
    known = yaml.safe_load((RECORD / "messages.yaml").read_text())
    ours = {path.name for path in (ROOT / "interfaces").rglob("*_msgs") if path.is_dir()}
    used = {use: file for file in sources() for use in messages_imported(file)}
    assert {"sensor_msgs", "carla_msgs"} <= {package for package, _ in used}
    for (package, name), file in used.items():
        assert package in ours or name in known.get(package, ()), f"{file}: {package}/{name}"
