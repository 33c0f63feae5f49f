# SPDX-License-Identifier: Apache-2.0
"""The traffic lights of a recorded drive, as the driver saw them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from td3_driver.configuration import load_configuration
from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.driving.messages.topics import LIGHTS_INFO, LIGHTS_STATUS, WORLD_INFO
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.closed_loop import Frame
from td3_driver.evaluation.policies import Pursuit
from td3_driver.online.shadow import Shadow
from td3_driver.playback.drive_log import DriveLog
from td3_driver.playback.drives import Drives
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions, open_recording

from ..carla_server.lit_streets import lit_streets
from .making import drive_into, rewrite, without

URBAN = load_configuration("urban").driving
DEMAND_DIM = 3  # numbers of the observation's vector about lights, signs and limits


class Looking:
    """Drives as a pursuit does, and keeps what the observation has more for lights and limits."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {}  # by the frame's stamp, ns
        self._pursuit = Pursuit(URBAN)

    def begin_episode(self) -> None:
        self._pursuit.begin_episode()

    def act(self, situation: Situation) -> Action:
        seen = situation.observation.vector[-DEMAND_DIM:].tolist()
        self.seen[situation.ego.stamp_ns] = seen
        return self._pursuit.act(situation)


@pytest.fixture(scope="module")
def policy() -> Looking:
    return Looking()


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory, policy: Looking) -> tuple[Path, list[Frame]]:
    path = tmp_path_factory.mktemp("lit") / "bag"
    roads = RoadMap(lit_streets(0), "lit")
    frames = drive_into(path, 240, policy, config=URBAN, road_map=roads, lights=True)
    assert len({bytes(frame.tick.lights) for frame in frames}) > 3
    return path, frames


def log_of(path: Path, sync: Sync) -> DriveLog:
    with Progress() as progress, open_recording(path, ReadOptions(sync=sync), progress) as found:
        return found.log


@pytest.mark.parametrize("mode", ["exact", "interpolate"])
def test_each_frame_has_what_its_tick_showed(lit: tuple[Path, list[Frame]], mode: Any) -> None:
    path, frames = lit
    log = log_of(path, Sync(mode))
    assert len(log.stamps_ns) == len(frames)
    for frame in frames:
        index = log.index_of(frame.tick.stamp_ns)
        assert index is not None
        assert log.lights_at(index).tolist() == frame.tick.lights.tolist()


def test_a_replayed_policy_sees_of_lights_what_the_driver_saw(
    lit: tuple[Path, list[Frame]], policy: Looking
) -> None:
    path, _ = lit
    with Progress() as progress, open_recording(path, ReadOptions(), progress) as found:
        steps = list(Drives(found.bag, found.topics, found.log, URBAN, progress))
    replayed = {
        step.situation.ego.stamp_ns: step.situation.observation.vector[-DEMAND_DIM:].tolist()
        for step in steps
        if step.outcome is None or not step.outcome.ended
    }
    assert len({tuple(seen) for seen in policy.seen.values()}) > 20
    assert replayed == policy.seen


def test_a_policy_that_watches_sees_them_too(
    lit: tuple[Path, list[Frame]], policy: Looking
) -> None:
    path, frames = lit
    watching = Looking()
    shadow = Shadow(watching, URBAN)
    with Progress() as progress, open_recording(path, ReadOptions(), progress) as found:
        log = found.log
    assert log.road_map is not None
    shadow.set_map(log.road_map)
    for tick in (frame.tick for frame in frames):
        if (route := log.routes.get(tick.stamp_ns)) is not None:
            shadow.follow(tick.stamp_ns, route)
        shadow.see(tick.image, tick.ego, lights=tick.lights, routes_come=True)
    assert watching.seen == policy.seen


def test_ids_change_when_a_town_is_loaded_anew(
    lit: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    path, frames = lit
    middle_ns = frames[75].tick.stamp_ns

    def renumbered(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic == LIGHTS_INFO:
            yield topic, time_ns, kind, message
            time_ns = middle_ns
        if topic in (LIGHTS_INFO, LIGHTS_STATUS) and time_ns >= middle_ns:
            for light in message.traffic_lights:
                light.id += 1
        yield topic, time_ns, kind, message

    log = log_of(rewrite(path, tmp_path / "bag", renumbered), Sync("exact"))
    told_ns = [time_ns for time_ns, _ in log.lights if time_ns > middle_ns]
    for frame in (*frames[:75], *(f for f in frames if f.tick.stamp_ns >= told_ns[0])):
        index = log.index_of(frame.tick.stamp_ns)
        assert index is not None
        assert log.lights_at(index).tolist() == frame.tick.lights.tolist()


@pytest.mark.parametrize("topic", [WORLD_INFO, LIGHTS_STATUS])
def test_nobody_knows_where_a_topic_is_missing(
    lit: tuple[Path, list[Frame]], tmp_path: Path, topic: str
) -> None:
    path, _ = lit
    log = log_of(rewrite(path, tmp_path / "bag", without(topic)), Sync("exact"))
    assert not any(len(log.lights_at(index)) for index in range(len(log.stamps_ns)))
