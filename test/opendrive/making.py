# SPDX-License-Identifier: Apache-2.0
"""OpenDRIVE documents for tests, written out as text."""

from __future__ import annotations

from collections.abc import Sequence

from td3_driver.driving.routes.road_map import Lane, LaneId, RoadMap

WIDTH_M = 3.5
LINE = "<line/>"


def lane(
    lane_id: int,
    kind: str = "driving",
    *,
    before: Sequence[int] = (),
    after: Sequence[int] = (),
    widths: str = f'<width sOffset="0" a="{WIDTH_M}" b="0" c="0" d="0"/>',
    marks: str = "",
    attributes: str = "",
) -> str:
    """One `<lane>`; `before` and `after` are its links' ids."""
    links = "".join(
        f'<{tag} id="{other}"/>'
        for tag, ids in (("predecessor", before), ("successor", after))
        for other in ids
    )
    inside = f"<link>{links}</link>{widths}{marks}"
    return f'<lane id="{lane_id}" type="{kind}" {attributes}>{inside}</lane>'


def section(s_m: float, *lanes: str, centre: str = "", attributes: str = "") -> str:
    """One `<laneSection>` with these lanes and the one in the middle."""
    left = "".join(text for text in lanes if '<lane id="-' not in text)
    right = "".join(text for text in lanes if '<lane id="-' in text)
    return (
        f'<laneSection s="{s_m}" {attributes}>'
        + (f"<left>{left}</left>" if left else "")
        + f'<center><lane id="0" type="none">{centre}</lane></center>'
        + (f"<right>{right}</right>" if right else "")
        + "</laneSection>"
    )


def road(
    road_id: object,
    length_m: float,
    *sections: str,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shape: str = LINE,
    plan: str = "",
    links: str = "",
    junction: object = -1,
    attributes: str = "",
    offset: str = "",
    more: str = "",
) -> str:
    """One `<road>` of one geometry from `at` (x, y, heading), or of those of `plan`."""
    x_m, y_m, heading = at
    plan = plan or (
        f'<geometry s="0" x="{x_m}" y="{y_m}" hdg="{heading}" length="{length_m}">'
        f"{shape}</geometry>"
    )
    return (
        f'<road id="{road_id}" length="{length_m}" junction="{junction}" {attributes}>'
        f"<link>{links}</link><planView>{plan}</planView>{more}"
        f"<lanes>{offset}{''.join(sections)}</lanes></road>"
    )


def touches(tag: str, road_id: object, contact: str) -> str:
    """A road's `<predecessor>` or `<successor>`, another road."""
    return f'<{tag} elementType="road" elementId="{road_id}" contactPoint="{contact}"/>'


def document(*parts: str) -> str:
    """The whole document."""
    return f'<?xml version="1.0"?><OpenDRIVE><header/>{"".join(parts)}</OpenDRIVE>'


def read(*parts: str) -> RoadMap:
    """The map of a document."""
    return RoadMap(document(*parts), "made")


def only(road_map: RoadMap) -> Lane:
    """Its one lane."""
    (found,) = road_map.lanes.values()
    return found


def edges(road_map: RoadMap) -> set[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Which lane leads into which, as plain numbers."""
    return {(tuple(one), tuple(other)) for one, other in road_map.lane_graph.edges}


def keys(road_map: RoadMap) -> set[LaneId]:
    """Its lanes."""
    return set(road_map.lanes)
