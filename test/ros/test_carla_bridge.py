# SPDX-License-Identifier: Apache-2.0
"""Where CARLA's bridge is found, and how `train --world carla` begins and ends with it.

In its place stand a node that speaks the same topics and a process that stays;
test/real_bridge has the bridge itself.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from td3_driver import cli
from td3_driver.ros.train.carla import (
    WORKSPACE,
    CarlaError,
    CarlaOptions,
    CarlaWorld,
    find_bridge,
    listens,
)

from ..e2e.conftest import QUICK, train
from ..e2e.running import Process, alive, wait_until
from ..ports import free_port

BRIDGE = f"exec {sys.executable} -m td3_driver.bridge_twin.world_node"
STAYS = "exec sleep 1000"


def workspace(folder: Path, bridge: str = BRIDGE, spawner: str = STAYS) -> Path:
    """A workspace that colcon built, as far as is looked at."""
    install = folder / "install"
    for package, executable, does in (
        ("carla_ros_bridge", "bridge", bridge),
        ("carla_spawn_objects", "carla_spawn_objects", spawner),
    ):
        file = install / "lib" / package / executable
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n{does}\n")
        file.chmod(0o755)
    setup = f"echo to be overheard\nexport AMENT_PREFIX_PATH={install} SOURCED='two\nlines'\n"
    (install / "setup.bash").write_text(setup)
    return folder


@pytest.fixture
def unsourced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (WORKSPACE, "AMENT_PREFIX_PATH", "ROS_VERSION"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_it_is_found_in_the_workspace_that_is_named(
    tmp_path: Path, unsourced: pytest.MonkeyPatch
) -> None:
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path)))
    found = find_bridge()
    lib = tmp_path / "install" / "lib"
    assert found.bridge == [str(lib / "carla_ros_bridge" / "bridge")]
    assert found.spawner == [str(lib / "carla_spawn_objects" / "carla_spawn_objects")]
    assert found.environment["SOURCED"] == "two\nlines"
    assert found.environment["ROS_VERSION"] == "2"
    assert "HOME" not in found.environment, "only what sourcing changes"


def test_it_is_found_in_the_workspace_that_is_sourced(
    tmp_path: Path, unsourced: pytest.MonkeyPatch
) -> None:
    install = workspace(tmp_path) / "install"
    unsourced.setenv("AMENT_PREFIX_PATH", os.pathsep.join((str(tmp_path / "other"), str(install))))
    unsourced.setenv("ROS_VERSION", "2")
    assert find_bridge().bridge == [str(install / "lib" / "carla_ros_bridge" / "bridge")]


def test_it_is_found_on_python_s_path(tmp_path: Path, unsourced: pytest.MonkeyPatch) -> None:
    for package in ("carla_ros_bridge", "carla_spawn_objects"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    unsourced.setenv("PYTHONPATH", str(tmp_path))
    found = find_bridge()
    assert found.bridge == [sys.executable, "-m", "carla_ros_bridge.bridge"]
    assert found.spawner == [sys.executable, "-m", "carla_spawn_objects.carla_spawn_objects"]


def test_what_is_missing_is_named(tmp_path: Path, unsourced: pytest.MonkeyPatch) -> None:
    for unset in (None, ""):
        if unset is not None:
            unsourced.setenv(WORKSPACE, unset)
        with pytest.raises(CarlaError, match=rf"carla_ros_bridge.*source.*{WORKSPACE}"):
            find_bridge()
    unsourced.setenv(WORKSPACE, str(tmp_path / "nowhere"))
    with pytest.raises(CarlaError, match=rf"{WORKSPACE}: no file {tmp_path}/nowhere/install"):
        find_bridge()
    setup = workspace(tmp_path) / "install" / "setup.bash"
    setup.write_text("echo 'no such distribution' >&2\nfalse\n")
    unsourced.setenv(WORKSPACE, str(tmp_path))
    with pytest.raises(CarlaError, match=r"setup\.bash fails: no such distribution"):
        find_bridge()


def test_a_server_is_there_or_not_or_cannot_be_reached() -> None:
    assert not listens("127.0.0.1", free_port())
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listens("127.0.0.1", server.getsockname()[1])
    with pytest.raises(CarlaError, match=r"--host no\.such\.invalid --port 2000: "):
        listens("no.such.invalid", 2000)


def test_without_ipv6_nobody_listens_at_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: /etc/hosts still has ::1, which no interface has, and it comes last."""

    def connect(*_: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert not listens("localhost", 2000)


@pytest.mark.parametrize(
    ("bridge", "spawner", "told"),
    [
        ("echo I am wrong; exit 3", STAYS, "carla_ros_bridge ended (exit code 3)"),
        (STAYS, "exit 1", "carla_spawn_objects ended (exit code 1)"),
    ],
)
def test_whichever_ends_all_end(
    tmp_path: Path, unsourced: pytest.MonkeyPatch, bridge: str, spawner: str, told: str
) -> None:
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path, bridge, spawner)))
    lines: list[str] = []
    world = CarlaWorld(options(Path("objects.json")), lines.append)
    try:
        world.start(lambda: False)
        wait_until(lambda: world.exit_code is not None)
    finally:
        world.stop()
    assert world.exit_code != 0
    assert told in lines
    assert all(process.exit_code is not None for process in world._processes.values())


def test_who_does_not_end_is_killed(tmp_path: Path, unsourced: pytest.MonkeyPatch) -> None:
    """As the bridge hangs in asynchronous mode; what it writes at its end is not shown."""
    deaf = "trap '' INT\necho ready\nwhile :; do sleep 0.1; done"
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path, deaf)))
    unsourced.setattr("td3_driver.ros.train.carla._STOP_S", dict.fromkeys(_NAMES, 0.2))
    lines: list[str] = []
    world = CarlaWorld(options(Path("objects.json")), lines.append)
    try:
        world.start(lambda: False)
        wait_until(lambda: "ready" in lines)
        assert world.exit_code is None
    finally:
        world.stop()
    bridge, server = (process.exit_code for process in world._processes.values())
    assert bridge in (-9, 128 + 9)  # the shell itself, or as it tells of what it had started
    assert server == -2


# Starts a world, and is killed before it can end it.
KILLED = """
import os, signal, sys
from pathlib import Path
from td3_driver.ros.train import carla
carla._STOP_S = dict.fromkeys(carla._STOP_S, 0.5)
options = carla.CarlaOptions(
    bridge=carla.find_bridge(), host="127.0.0.1", port=2000, server=None, town="Town01",
    role_name="ego_vehicle", objects_file=Path("objects.json"), lockstep=False,
)
carla.CarlaWorld(options, lambda line: print(line, flush=True)).start(lambda: False)
signal.pause()
"""


def test_who_does_not_end_is_killed_also_when_nobody_is_left_to_ask(
    tmp_path: Path, unsourced: pytest.MonkeyPatch
) -> None:
    """As the bridge hangs when its server has ended with the command that started both."""
    deaf = "trap '' INT TERM\necho ready $$\nwhile :; do sleep 0.1; done"
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path, deaf)))
    command = Process([sys.executable, "-c", KILLED])
    try:
        command.wait_for("ready")
        (line,) = command.lines
        bridge = int(line.split()[-1])
        assert alive(bridge)
        os.kill(command.process.pid, signal.SIGKILL)
        wait_until(lambda: not alive(bridge))
    finally:
        command.kill()
        for line in command.lines:
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[-1]), signal.SIGKILL)


_NAMES = ("carla_spawn_objects", "carla_ros_bridge", "CARLA server")


def options(objects: Path) -> CarlaOptions:
    return CarlaOptions(
        bridge=find_bridge(), host="127.0.0.1", port=2000, server=None, town="Town01",
        role_name="ego_vehicle", objects_file=objects, lockstep=True,
    )  # fmt: skip


def test_the_command_says_in_a_line_what_is_missing(
    tmp_path: Path, unsourced: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str) -> str:
        unsourced.setattr(sys, "argv", ["td3_driver", "train", "--world", "carla", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 1
        said = capsys.readouterr().err
        assert re.fullmatch(r"td3_driver train: .*\n", said), said
        return said

    assert "no package carla_ros_bridge here" in told()
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path)))
    assert "--host no.such.invalid --port 2000: " in told("--host", "no.such.invalid")
    assert "map no.xodr: no such file" in told("--map", "no.xodr")
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = "--host", "127.0.0.1", "--port", str(server.getsockname()[1])
        for option in ("--traffic=3", "--difficulty=town"):
            named = option.partition("=")[0]
            assert f"{named}: of a world that is started here" in told(*there, option)
    elsewhere = "--host", "::1", "--port", str(free_port())
    assert f"{' '.join(elsewhere)}: no CARLA server there" in told(*elsewhere)


@pytest.mark.parametrize("option", ["--host=gpu-box", "--port=2002", "--town=Town01"])
def test_a_server_that_nobody_would_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["td3_driver", "train", option])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = f"td3_driver train: {option.replace('=', ' ')}: needs --world carla\n"
    assert capsys.readouterr().err == said


def test_a_run_starts_a_server_and_ends_with_all_of_it(
    tmp_path: Path, unsourced: pytest.MonkeyPatch
) -> None:
    unsourced.setenv(WORKSPACE, str(workspace(tmp_path / "ws")))
    port = free_port()
    words = ("--world", "carla", "--port", str(port), "--steps", "30", "--save-freq", "1000")
    run = train(tmp_path / "run", *words, *QUICK, evaluated=False)
    assert run.code == 0, run.output
    assert f"CARLA 0.9.16 on 127.0.0.1:{port}" in run.output
    assert "Traceback" not in run.output
    assert (run.folder / "latest.pth").is_file()
    assert "town: generated_easy_" in (run.folder / "run.yaml").read_text()
    assert not listens("127.0.0.1", port)
