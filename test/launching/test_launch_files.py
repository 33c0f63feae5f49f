# SPDX-License-Identifier: Apache-2.0
"""The launch files through `ros2 launch`, from a real colcon installation; where there is one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from ..bags.conftest import Drive, drive
from ..bags.test_replay import replayed

__all__ = ["drive"]  # a fixture

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(sys.prefix)
ROS2 = shutil.which("ros2")

pytestmark = pytest.mark.skipif(
    ROS2 is None or find_spec("ros2launch") is None, reason="ros2 launch is not installed here"
)

# In place of CARLA's bridge and its spawner, by their packages' names: a world that speaks the
# bridge's topics, and a process that stays.
BRIDGE = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

def generate_launch_description():
    wait = "synchronous_mode_wait_for_vehicle_control_command"
    names = ("host", "port", "town", "timeout", "synchronous_mode", "fixed_delta_seconds", wait,
             "ego_vehicle_role_name", "passive")
    role = LaunchConfiguration("ego_vehicle_role_name")
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value="") for name in names),
        Node(package="td3_driver", executable="world_node", parameters=[{"role_name": role}]),
    ])
"""
SPAWNER = """
from launch import LaunchDescription
from launch.actions import ExecuteProcess

def generate_launch_description():
    # As the real one, it ends with code 1 when it is asked to.
    cmd = ["sh", "-c", "trap 'exit 1' INT; while :; do sleep 0.1; done"]
    return LaunchDescription([ExecuteProcess(cmd=cmd)])
"""
# Another's launch file that includes ours in a namespace, with an argument, a process and a
# parameter for all nodes of its own: that stands first on their command lines.
PARENT = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace, SetParameter

def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument("own", default_value=""),
        ExecuteProcess(cmd=["true"]),
        PushRosNamespace("car1"),
        SetParameter("use_sim_time", True),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource("{train}"),
            launch_arguments={{
                "steps": "1", "checkpoint_dir": "{run}", "role_name": "hero",
            }}.items(),
        ),
    ])
"""
# What ends stays alone with its end; what does not, as a service call for which nobody is there,
# ends with the others.
ERRANDS = """
from launch.actions import ExecuteProcess
from td3_driver.launching.actions import described, errand, others

def start(context, values):
    return [
        others(context, [ExecuteProcess(cmd=["sleep", "1000"])]),
        ExecuteProcess(cmd=errand(["echo", "done"]), output="screen"),
        ExecuteProcess(cmd=errand(["sh", "-c", "echo begun; exec sleep 999"]), output="screen"),
    ]

def generate_launch_description():
    return described([], start)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed by colcon, as it is in a workspace."""
    folder = tmp_path_factory.mktemp("workspace")
    building = {**os.environ, "PYTHONPATH": "", "AMENT_PREFIX_PATH": str(PREFIX)}
    subprocess.run(
        [str(PREFIX / "bin" / "colcon"), "--log-base", str(folder / "log"), "build",
         "--base-paths", str(ROOT), "--build-base", str(folder / "build"),
         "--install-base", str(folder / "install")],
        env=building, cwd=folder, capture_output=True, check=True,
    )  # fmt: skip
    ours = folder / "install" / "td3_driver"
    for package, content in (("carla_ros_bridge", BRIDGE), ("carla_spawn_objects", SPAWNER)):
        share = folder / package / "share"
        marker = share / "ament_index" / "resource_index" / "packages" / package
        marker.parent.mkdir(parents=True)
        marker.touch()
        (share / package).mkdir()
        (share / package / f"{package}.launch.py").write_text(content)
    prefixes = [ours, folder / "carla_ros_bridge", folder / "carla_spawn_objects"]
    site = next(ours.glob("lib/python3.*/site-packages"))
    return {
        **os.environ,
        "AMENT_PREFIX_PATH": ":".join(
            [*map(str, prefixes), os.environ.get("AMENT_PREFIX_PATH", str(PREFIX))]
        ),
        "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "TRAIN": str(ours / "share" / "td3_driver" / "launch" / "train.launch.py"),
    }


class Launched:
    """`ros2 launch`, and everything below it, which shares a mark in its environment."""

    def __init__(self, environment: dict[str, str], log: Path, words: Sequence[str]) -> None:
        self._mark = f"LAUNCHED_BY_TEST={log}"
        self._log = log
        name, _, value = self._mark.partition("=")
        assert ROS2 is not None
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [ROS2, "launch", *words], env={**environment, name: value}, cwd=log.parent,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def nodes(self) -> dict[int, str]:
        """Command lines below `ros2 launch` by process id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = self._mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if marked and int(folder.name) != self.process.pid:
                found[int(folder.name)] = line
        return found

    def pid_of(self, name: str) -> int:
        return next(pid for pid, line in self.nodes().items() if name in line)

    def wait_for(self, text: str) -> None:
        end_s = time.monotonic() + 120.0
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end_s, self.output
            time.sleep(0.05)

    def code(self) -> int:
        """Its exit code, when nothing is left."""
        code = self.process.wait(120.0)
        end_s = time.monotonic() + 120.0
        while self.nodes():
            assert time.monotonic() < end_s, (self.nodes(), self.output)
            time.sleep(0.05)
        return code

    def clear(self) -> None:
        for pid in [*self.nodes(), self.process.pid]:
            if self.process.poll() is None or pid != self.process.pid:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def player(workspace: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """`ros2 bag` and `ros2 service` are ours where rosbag2 is not installed."""
    ours = tmp_path_factory.mktemp("ros2") / "ros2"
    ours.write_text(
        "#!/bin/sh\ncase $1 in bag|service) "
        f'cd {ROOT} && exec {sys.executable} -m test.launching.played "$@";; esac\n'
        f'exec {ROS2} "$@"\n'
    )
    ours.chmod(0o755)
    workspace["PATH"] = f"{ours.parent}:{os.environ['PATH']}"


@pytest.fixture
def launch(workspace: dict[str, str], tmp_path: Path) -> Iterator[object]:
    made: list[Launched] = []

    def start(*words: str) -> Launched:
        made.append(Launched(workspace, tmp_path / f"{len(made)}.log", words))
        return made[-1]

    yield start
    for each in made:
        each.clear()


def train(*words: str) -> list[str]:
    return ["td3_driver", "train.launch.py", "checkpoint_dir:=run", *words]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (train("steps:=many", "world:=mars"), ["steps:=many: ", "world:=mars: not one of"]),
        (train("stepz:=5"), ["stepz: no such argument; did you mean steps?"]),
        (train("mode:=evaluate"), ["resume: empty"]),
        (["td3_driver", "evaluate.launch.py"], ["resume"]),
        (["td3_driver", "replay.launch.py", "bag:=none", "resume:=none"], ["bag:=none: no such"]),
    ],
)  # fmt: skip
def test_nothing_is_started_with_arguments_that_cannot_be_followed(
    launch, words: list[str], said: list[str]
) -> None:
    run = launch(*words)
    assert run.code() == 1
    assert all(each in run.output for each in said)
    assert "process started" not in run.output
    assert "Traceback" not in run.output
    assert "deprecated" not in run.output


def test_a_run_to_its_end(launch, tmp_path: Path) -> None:
    run = launch(*train("steps:=2", "difficulty:=town", "traffic:=2", "role_name:=hero"))
    assert run.code() == 0, run.output
    assert (tmp_path / "run" / "td3_2.pth").is_file()
    assert "driving in generated_town" in run.output
    assert "deprecated" not in run.output


def test_each_end_ends_all(launch) -> None:
    for victim, number in (("world_node", signal.SIGKILL), ("driver_node", signal.SIGKILL)):
        run = launch(*train("overwrite:=true"))
        run.wait_for("driving in")
        os.kill(run.pid_of(victim), number)
        assert run.code() == 1, run.output
        assert f"{victim}-" in run.output
        assert "ended with exit code -9" in run.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_launch_leaves_no_node(launch, number: signal.Signals) -> None:
    for moment in ("process started", "driving in"):
        run = launch(*train("overwrite:=true"))
        run.wait_for(moment)
        run.process.send_signal(number)
        assert run.code() == (0 if number == signal.SIGINT else -number), run.output
        assert "Traceback" not in run.output


def test_ctrl_c_while_the_nodes_start_says_nothing(launch) -> None:
    run = launch(*train())
    run.wait_for("process started")
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    assert run.code() == 0, run.output
    assert "Traceback" not in run.output


def test_the_bridge_s_processes_end_with_ours_and_ours_with_theirs(launch) -> None:
    carla = ("world:=carla", "role_name:=hero", "passive:=False", "overwrite:=true")
    whole = launch(*train(*carla, "steps:=2"))
    assert whole.code() == 0, whole.output
    run = launch(*train(*carla))
    run.wait_for("driving in")  # the bridge, ours by its topics, has the role name
    os.kill(run.pid_of("trap"), signal.SIGTERM)
    assert run.code() == 1, run.output
    killed = launch(*train(*carla))
    killed.wait_for("driving in")
    killed.process.kill()
    killed.code()


def test_a_replay_proposes_from_the_first_frame_on(launch, player: None, drive: Drive) -> None:
    """Driver and player start together; nothing is lost while they look for each other."""
    given = (f"bag:={drive.bag}", f"resume:={drive.checkpoint}", "rate:=3.0")
    run = launch("td3_driver", "replay.launch.py", *given)
    assert run.code() == 0, run.output
    assert "all acknowledged" in run.output
    offline = replayed(drive, drive.bag)
    told = re.search(r"replay: frames (\d+), proposals (\d+), .* lost_messages 0,", run.output)
    assert told is not None, run.output
    assert (int(told[1]), int(told[2])) == (offline.counts["frames"], len(offline.rows["steer"]))


def test_included_by_another_launch_file_it_minds_its_own_business(
    launch, workspace: dict[str, str], tmp_path: Path
) -> None:
    parent = tmp_path / "parent.launch.py"
    parent.write_text(PARENT.format(train=workspace["TRAIN"], run=tmp_path / "run"))
    run = launch(str(parent), "own:=1")
    assert run.code() == 0, run.output
    assert (tmp_path / "run" / "td3_1.pth").is_file()


def test_an_errand_ends_nobody_and_with_all(launch, tmp_path: Path) -> None:
    (tmp_path / "errands.launch.py").write_text(ERRANDS)
    run = launch(str(tmp_path / "errands.launch.py"))
    run.wait_for("] begun")
    run.wait_for("process has finished cleanly")
    assert "was required" not in run.output
    assert len([line for line in run.nodes().values() if "sleep " in line]) == 2
    run.process.kill()
    run.code()
