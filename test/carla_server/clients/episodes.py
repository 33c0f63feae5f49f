# SPDX-License-Identifier: Apache-2.0
"""Time and towns: settings, ticks, snapshots, worlds that are loaded."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import carla
import numpy as np

from .town import PATIENCE_S, STEP_S, raises, spawned, synchronous

CIRCLE = Path(__file__).resolve().parents[2] / "data" / "maps" / "circle.xodr"
STEP_F32_S = float(np.float32(STEP_S))  # Unreal's step is a float, which is added up in a double


def settings(client: Any) -> None:
    with synchronous(client) as world:
        before = world.get_snapshot()
        for _ in range(20):
            frame = world.tick()
            snapshot = world.get_snapshot()
            assert snapshot.frame == frame == before.frame + 1
            assert snapshot.timestamp.delta_seconds == STEP_F32_S
            elapsed_s = before.timestamp.elapsed_seconds + STEP_F32_S
            assert snapshot.timestamp.elapsed_seconds == elapsed_s
            assert snapshot.timestamp.platform_timestamp > before.timestamp.platform_timestamp
            before = snapshot
        kept = world.get_settings()
        kept.substepping, kept.max_substeps, kept.max_substep_delta_time = False, 3, 0.02
        kept.max_culling_distance, kept.no_rendering_mode = 100.0, True
        kept.deterministic_ragdolls, kept.tile_stream_distance = False, 500.0
        kept.actor_active_distance, kept.spectator_as_ego = 400.0, False
        world.apply_settings(kept)
        assert world.get_settings() == kept
        kept.fixed_delta_seconds = 0.1
        world.apply_settings(kept)
        world.tick()
        assert world.get_snapshot().timestamp.delta_seconds == float(np.float32(0.1))
        kept.fixed_delta_seconds = 20.0
        raises("fixed_delta_seconds 20", lambda: world.apply_settings(kept))
        kept.fixed_delta_seconds = None  # of a variable length, in synchronous mode, too
        world.apply_settings(kept)
        assert world.get_settings().fixed_delta_seconds is None
        before = world.get_snapshot()
        world.tick()
        after = world.get_snapshot()
        delta_s = after.timestamp.delta_seconds
        assert 0.0 < delta_s <= 1.0
        told_s = after.timestamp.elapsed_seconds - before.timestamp.elapsed_seconds
        assert abs(told_s - delta_s) < 1e-6


def asynchronous(client: Any) -> None:
    """The world ticks by itself, whoever waits."""
    world = client.reload_world()
    assert not world.get_settings().synchronous_mode
    heard: queue.Queue[Any] = queue.Queue()
    number = world.on_tick(heard.put)
    one = heard.get(timeout=PATIENCE_S)
    for _ in range(5):
        other = heard.get(timeout=PATIENCE_S)
        assert other.frame > one.frame
        assert other.timestamp.delta_seconds > 0.0
        assert other.timestamp.elapsed_seconds > one.timestamp.elapsed_seconds
        one = other
    assert world.wait_for_tick(PATIENCE_S).frame >= one.frame
    assert world.tick() >= one.frame  # it asks for nothing here, and waits for nothing
    world.remove_on_tick(number)
    fixed = world.get_settings()
    fixed.fixed_delta_seconds = 0.025
    frame = world.apply_settings(fixed)
    while (snapshot := world.wait_for_tick(PATIENCE_S)).frame <= frame:
        pass
    assert snapshot.timestamp.delta_seconds == float(np.float32(0.025))
    fixed.fixed_delta_seconds = None
    world.apply_settings(fixed)
    # A car drives on meanwhile, and what is commanded holds.
    car = spawned(world, "vehicle.tesla.model3")
    car.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(2000):
        if world.wait_for_tick(PATIENCE_S) and car.get_velocity().length() > 1.0:
            break
    else:
        raise AssertionError("the car stands")
    car.destroy()


def other_worlds(client: Any) -> None:
    """Loaded, a world is another one: ids and frames go on, time begins anew."""
    maps = [name.rpartition("/")[2] for name in client.get_available_maps()]
    assert maps == ["circle", "lit_streets", "plain"]
    with synchronous(client) as world:
        first, name = world.id, world.get_map().name
        assert name == "Carla/Maps/lit_streets"
        car = spawned(world, "vehicle.tesla.model3")
        for _ in range(5):
            frame = world.tick()
        other = client.load_world("plain", reset_settings=False)
        assert other.get_map().name == "Carla/Maps/plain"
        assert other.id != first
        assert other.get_settings().synchronous_mode
        assert other.tick() > frame
        assert other.get_snapshot().timestamp.elapsed_seconds < 5 * STEP_S
        assert not other.get_actors().filter("vehicle.*")
        raises("not found", lambda: other.spawn_actor(
            other.get_blueprint_library().find("sensor.other.imu"), carla.Transform(), car
        ))  # fmt: skip
        again = spawned(other, "vehicle.tesla.model3")
        assert again.id > car.id
        raises("Nowhere", lambda: client.load_world("Nowhere"))
        assert client.get_world().id == other.id
        client.load_world_if_different("plain")
        assert client.get_world().id == other.id
        reloaded = client.reload_world(False)
        assert reloaded.id not in (first, other.id)
        assert reloaded.get_map().name == "Carla/Maps/plain"
        layered = client.load_world("/Game/Carla/Maps/lit_streets_Opt").get_map()
        assert layered.name == f"{name}_Opt"
        assert not client.get_world().get_settings().synchronous_mode


def own_roads(client: Any) -> None:
    world = client.generate_opendrive_world(CIRCLE.read_text())
    roads = world.get_map()
    assert roads.name == "Carla/Maps/OpenDriveMap"
    assert roads.to_opendrive() == CIRCLE.read_text()
    car = spawned(world, "vehicle.tesla.model3", roads.get_spawn_points()[0])
    assert car.is_alive
    assert client.reload_world().get_map().name == roads.name
    frame = client.get_world().get_snapshot().frame
    raises("OpenDriveMap", lambda: client.generate_opendrive_world("<OpenDRIVE/>"))
    assert client.get_world().wait_for_tick(PATIENCE_S).frame > frame
    client.load_world("lit_streets")
