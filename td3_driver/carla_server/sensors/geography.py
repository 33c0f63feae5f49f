# SPDX-License-Identifier: Apache-2.0
"""Where on Earth a map is, as CARLA's client library has it: a sphere, transverse Mercator."""

from __future__ import annotations

import math
import re

_EARTH_RADIUS_M = 6378137.0
_SCALE = 0.9996  # whatever the map's `+k` says
_REFERENCE = re.compile(r"<geoReference>\s*(?:<!\[CDATA\[)?([^<\]]*)")
# What CARLA takes where a map says nothing.
_LATITUDE_DEG, _LONGITUDE_DEG = 42.0, 2.0


class Geography:
    """Latitudes and longitudes of a map's places.

    Args:
        opendrive: the document; its `geoReference` may have `+lat_0` and `+lon_0`.
    """

    def __init__(self, opendrive: str) -> None:
        found = _REFERENCE.search(opendrive)
        reference = found[1] if found else ""
        self.latitude_deg = _parameter(reference, "lat_0", _LATITUDE_DEG)
        self.longitude_deg = _parameter(reference, "lon_0", _LONGITUDE_DEG)

    def degrees(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Latitude and longitude of a place in CARLA's axes.

        CARLA takes its y for north here, as `carla.Map.transform_to_geolocation` does.
        """
        east = x_m / (_SCALE * _EARTH_RADIUS_M)
        north = y_m / (_SCALE * _EARTH_RADIUS_M) + math.radians(self.latitude_deg)
        latitude_rad = math.asin(math.sin(north) / math.cosh(east))
        longitude_rad = math.atan2(math.sinh(east), math.cos(north))
        return math.degrees(latitude_rad), self.longitude_deg + math.degrees(longitude_rad)


def _parameter(reference: str, name: str, default: float) -> float:
    found = re.search(rf"\+{name}=([-+0-9.eE]+)", reference)
    try:
        value = float(found[1]) if found else default
    except ValueError:
        return default
    return value if abs(value) <= 85.0 or name == "lon_0" else default
