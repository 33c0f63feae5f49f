# SPDX-License-Identifier: Apache-2.0
"""Places on the lanes of a map, for tests."""

import numpy as np

from td3_driver.driving.routes.road_map import LanePlace, RoadMap


def places(road_map: RoadMap, spacing_m: float) -> list[LanePlace]:
    """One every so often on every lane, from its start on, junctions among them."""
    return [
        LanePlace.on(lane, float(s_m))
        for lane in road_map.lanes.values()
        for s_m in np.arange(0.0, lane.length_m, spacing_m)
    ]


def further(road_map: RoadMap, place: LanePlace, way_m: float) -> LanePlace:
    """A place further along a lane, and along the first that it leads into."""
    lane, s_m = place.lane, place.s_m + way_m
    while s_m > lane.length_m:
        s_m -= lane.length_m
        lane = road_map.lanes[next(iter(road_map.lane_graph.successors(lane.key)))]
    return LanePlace.on(lane, s_m)
