# SPDX-License-Identifier: Apache-2.0
"""What a process of `td3_driver train` imports before its first step, which the user waits for."""

import subprocess
import sys

import pytest

COMMAND = (
    "td3_driver.configuration td3_driver.online.run_folder td3_driver.ros.train.train"
    " td3_driver.world.roads.generation"
)
NEEDLESS = {
    COMMAND: {"torch", "scipy", "shapely", "scenariogeneration", "rosbags", "matplotlib"},
    "td3_driver.bridge_twin.world_node": {"torch", "scipy", "scenariogeneration", "matplotlib"},
    "td3_driver.ros.driver.node": {"scipy", "shapely", "tensorboard", "matplotlib", "jinja2"},
}


@pytest.mark.parametrize("modules", NEEDLESS)
def test_a_process_imports_nothing_that_it_can_do_without(modules: str) -> None:
    lines = [*map("import {}".format, modules.split()), "import sys", "print(*sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120.0)
    assert not NEEDLESS[modules] & set(said.stdout.split())
