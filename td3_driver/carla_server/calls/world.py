# SPDX-License-Identifier: Apache-2.0
"""Calls about the world: episodes, maps, settings, ticks, weather."""

from __future__ import annotations

from typing import Any

from td3_driver.carla_server.axes import carla_pose, transform_of
from td3_driver.carla_server.library.blueprints import definitions
from td3_driver.carla_server.rpc import Replied
from td3_driver.carla_server.server import Server
from td3_driver.carla_server.structures import (
    EpisodeSettings,
    WeatherParameters,
    encode,
)

VERSION = "0.9.16"
_SPAWN_SPACING = 15  # of the world's places to start, which are 2 m apart
_ABOVE_GROUND_M = 0.5


class WorldCalls:
    """Calls of `carla.Client` and `carla.World`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def version(self) -> str:
        """The client warns if it has another one."""
        return VERSION

    def get_available_maps(self) -> list[str]:
        """As paths in CARLA's own tree."""
        return [f"/Game/Carla/Maps/{name}" for name in self._server.towns.names]

    def load_new_episode(self, name: str, reset_settings: bool = True, layers: Any = 0) -> None:
        """Enter a town, the same one if no name is given; actors, time and weather begin anew."""
        server = self._server
        road_map = server.towns.find(name) if name else server.episode.road_map
        server.load(road_map, reset_settings=reset_settings)

    def copy_opendrive_to_file(self, opendrive: str, parameters: Any = None) -> None:
        """Take a client's own roads; `load_new_episode` of `OpenDriveMap` enters them."""
        self._server.towns.sent = opendrive

    def load_map_layer(self, layers: Any) -> None:
        """There are no layers."""

    def unload_map_layer(self, layers: Any) -> None:
        """There are no layers."""

    def get_episode_info(self) -> list[Any]:
        """The number of the episode, and where its ticks are told."""
        return [self._server.episode.number, [self._server.episode_token]]

    def get_sensor_token(self, stream_id: int) -> list[Any]:
        """Where a stream is."""
        return [self._server.streams.token(stream_id & 0xFFFFFFFF)]

    def get_map_info(self) -> list[Any]:
        """The name of the town, and places to spawn cars at."""
        episode = self._server.episode
        places = [
            transform_of((x, y, z + _ABOVE_GROUND_M, pitch, yaw, roll))
            for x, y, z, pitch, yaw, roll in map(
                carla_pose, episode.spawn_poses[::_SPAWN_SPACING]
            )
        ]
        return [f"Carla/Maps/{episode.road_map.name}", encode(places)]

    def get_map_data(self) -> str:
        """The OpenDRIVE document."""
        return self._server.episode.road_map.opendrive

    def get_required_files(self, folder: str = "", download: bool = True) -> list[str]:
        """Nothing has to be fetched."""
        return []

    def get_navigation_mesh(self) -> bytes:
        """Empty: there is none."""
        return b""

    def get_episode_settings(self) -> EpisodeSettings:
        """How time goes on."""
        return self._server.settings

    def set_episode_settings(self, settings: EpisodeSettings) -> int:
        """Change how time goes on; returns the frame from which on it holds."""
        return self._server.configure(settings)

    def tick_cue(self) -> Any:
        """Tick once, in synchronous mode; returns the number of the coming frame."""
        server = self._server
        coming = server.frame + 1
        if not server.settings.synchronous_mode:
            return coming  # it comes by itself
        return Replied(coming, server.tick)

    def get_actor_definitions(self) -> list[Any]:
        """The blueprint library."""
        return [list(definition) for definition in definitions()]

    def get_weather_parameters(self) -> WeatherParameters:
        """The weather."""
        return self._server.episode.weather

    def set_weather_parameters(self, weather: WeatherParameters) -> None:
        """Change the weather, which is light here: grip stays."""
        self._server.episode.set_weather(weather)

    def is_weather_enabled(self) -> bool:
        """There is weather in each town."""
        return True

    def draw_debug_shape(self, shape: Any) -> None:
        """Accepted, and not drawn."""

    def clear_debug_shape(self) -> None:
        """Nothing is drawn."""

    def clear_debug_string(self) -> None:
        """Nothing is drawn."""

    def get_environment_objects(self, tag: int) -> list[Any]:
        """None has an id here."""
        return []

    def enable_environment_objects(self, ids: Any, enable: bool) -> None:
        """None has an id here."""

    def get_all_level_BBs(self, tag: int) -> list[Any]:
        """None has a box here."""
        return []

    def query_lights_state(self, client: str = "") -> list[Any]:
        """There are no street lights."""
        return []

    def update_lights_state(self, client: str, lights: Any, discard: bool = False) -> None:
        """There are no street lights."""

    def update_day_night_cycle(self, client: str, active: bool) -> None:
        """There are no street lights."""

    def set_annotations_traverse_translucency(self, enable: bool) -> None:
        """Nothing is translucent."""
