# SPDX-License-Identifier: Apache-2.0
"""Ray takes a second to import: only fleets and sweeps do."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import td3_driver.cli
import td3_driver.ros.driver.node
import td3_driver.ros.train.train
import td3_driver.evaluation.selection
import td3_driver.bridge_twin.world_node
assert "ray" not in sys.modules
"""


def test_training_does_not_import_ray() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
