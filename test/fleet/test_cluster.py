# SPDX-License-Identifier: Apache-2.0
"""A fleet's own Ray cluster: who has no token is turned away, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray

from td3_driver.fleet.cluster import ClusterError, cluster, prepare

STRANGER = """
import sys, ray
ray.init(sys.argv[1], logging_level="ERROR")
print("let in")
"""


def test_without_ray_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="make setup"):
        prepare(None)


def _pid() -> int:
    return os.getpid()


def test_a_stranger_is_turned_away_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(Path(tempfile.gettempdir()).glob("td3_fleet_*"))
    with cluster(None, "mine", 1, 0.0):
        address = ray.get_runtime_context().gcs_address
        assert ray.get(ray.remote(_pid).remote()) != os.getpid()
        own = dict(os.environ)
        for token in ("", "0" * 64):
            given = {**own, "RAY_AUTH_TOKEN": token, "RAY_gcs_rpc_server_connect_timeout_s": "1"}
            if not token:
                given |= {"RAY_AUTH_MODE": "disabled"}
            stranger = subprocess.run(
                ["timeout", "20", sys.executable, "-c", STRANGER, address],
                env=given, capture_output=True, text=True,
            )  # fmt: skip
            assert "let in" not in stranger.stdout
            assert stranger.returncode != 0
        friend = subprocess.run(
            [sys.executable, "-c", STRANGER, address], env=own, capture_output=True, text=True
        )
        assert "let in" in friend.stdout, friend.stderr
    assert set(Path(tempfile.gettempdir()).glob("td3_fleet_*")) == before


def test_where_there_is_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClusterError) as refused, cluster("127.0.0.1:1", "mine", 1, 0.0):
        pass
    assert str(refused.value).startswith("--address 127.0.0.1:1: no Ray cluster there")
    assert "\n" not in str(refused.value)
