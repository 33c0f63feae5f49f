# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train 2>&1 | head`: the run ends as after Ctrl-C, and is saved."""

import subprocess
from pathlib import Path

from td3_driver.checkpoints import checkpoint
from td3_driver.console import READER_LEFT

from .running import PATIENCE_S, TRAIN, alive, tree, wait_until


def test_a_training_whose_reader_leaves_ends_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*TRAIN, "--checkpoint-dir", str(tmp_path), "--steps", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [process.pid]
    try:
        for line in process.stdout:
            if "at step 250" in line:
                break
        pids += tree(process.pid)
        assert len(pids) >= 4
        process.stdout.close()
        assert process.wait(PATIENCE_S) in (0, READER_LEFT)
        assert checkpoint.read(tmp_path / "latest.pth")["env_steps"] >= 250
        wait_until(lambda: not any(map(alive, pids[1:])), what=lambda: f"ends of {pids}")
    finally:
        for pid in pids:
            if alive(pid):
                subprocess.run(["kill", "-9", str(pid)], check=False)
        process.wait()
