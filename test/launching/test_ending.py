# SPDX-License-Identifier: Apache-2.0
"""Processes end with the one that started them, and quietly while they start."""

import subprocess
import sys
from pathlib import Path

from td3_driver.ros.tether import tethered
from td3_driver.start import UNINTERRUPTED

# Starts a process that is tethered to it, and waits.
PARENT = """
import subprocess, sys
from td3_driver.ros.tether import tethered
child = subprocess.Popen([*tethered(), sys.executable, "-c", sys.argv[1]])
child.wait()
"""
# Tells when it lives, and waits for its end.
CHILD = "import signal; print('lives', flush=True); signal.pause()"


def test_a_tethered_process_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "lives\n"
    parent.kill()
    assert parent.stdout.read() == ""  # both ends of the pipe are closed
    parent.wait()


def test_a_process_whose_parent_died_before_it_was_tethered_does_not_start(
    tmp_path: Path,
) -> None:
    ran = tmp_path / "ran"
    by_another = [*tethered(), "touch", str(ran)]
    done = subprocess.run(["sh", "-c", '"$@" & wait $!', "sh", *by_another], check=False)
    assert done.returncode == 1
    assert not ran.exists()
    assert subprocess.run([*tethered(), "touch", str(ran)], check=False).returncode == 0
    assert ran.exists()


def test_ctrl_c_before_python_has_started_is_not_lost_and_says_nothing() -> None:
    interrupted = ["sh", "-c", 'kill -INT $$; exec "$@"', "sh"]
    start = [sys.executable, "-m", "td3_driver.start", "td3_driver.cli", "--help"]
    done = subprocess.run(
        [*UNINTERRUPTED, *interrupted, *start], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    usual = subprocess.run(start, capture_output=True, text=True, check=False)
    assert "usage" in usual.stdout


def test_the_tether_changes_no_signal_handling() -> None:
    script = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    done = subprocess.run(
        [*tethered(), sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()"]


def test_a_shell_s_background_hears_ctrl_c_and_nohup_is_respected() -> None:
    """A script's `&` has what it starts ignore SIGINT, with which `train` ends its nodes."""
    script = """
import signal
from td3_driver import signals
signals.handle(print)
print([number.name for number in signals.ENDING if signal.getsignal(number) is print])
"""
    ignoring = ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"]
    done = subprocess.run(
        [*ignoring, sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['SIGINT', 'SIGTERM']\n"
