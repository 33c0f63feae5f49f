# SPDX-License-Identifier: Apache-2.0
"""Where on Earth a document says that it is."""

from __future__ import annotations

import pytest

from td3_driver.carla_server.sensors.geography import Geography


@pytest.mark.parametrize(
    ("reference", "latitude_deg", "longitude_deg"),
    [
        ("<![CDATA[+proj=tmerc +lat_0=49.5 +lon_0=-8.25 +k=1]]>", 49.5, -8.25),
        ("\n +proj=tmerc +lat_0=4.9e1 +lon_0=8\n", 49.0, 8.0),
        ("<![CDATA[ +proj=utm +zone=32 ]]>", 42.0, 2.0),
        ("", 42.0, 2.0),
        ("<geoReference>" * 1_000_000, 42.0, 2.0),  # what has no end is not looked for each time
    ],
)
def test_the_origin_is_that_of_the_reference(
    reference: str, latitude_deg: float, longitude_deg: float
) -> None:
    place = Geography(f"<OpenDRIVE><header><geoReference>{reference}")
    assert (place.latitude_deg, place.longitude_deg) == (latitude_deg, longitude_deg)
    assert place.degrees(0.0, 0.0) == pytest.approx((latitude_deg, longitude_deg))
