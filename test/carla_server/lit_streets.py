# SPDX-License-Identifier: Apache-2.0
"""Streets between junctions that have traffic lights, as OpenDRIVE says it."""

from __future__ import annotations

from xml.etree import ElementTree

from td3_driver.world.roads.generation import generate_opendrive

LIGHT = "1000001"  # OpenDRIVE's type of a signal with three lamps
LIMIT = "274"  # and of a speed limit
_BEFORE_M = 2.0  # from a light to the junction
_BESIDE_M = 5.0  # from the middle of the road to a pole
_LIMIT_KMH = 50


def lit_streets(seed: int) -> str:
    """A generated town with a light for each way into a junction, and a speed limit.

    Each light has a controller of its own: one way after the other is green.
    """
    root = ElementTree.fromstring(generate_opendrive(seed, "town"))
    for existing in root.iter("geoReference"):
        existing.text = "+proj=tmerc +lat_0=49 +lon_0=8"
    lights: dict[str, list[str]] = {}
    for road in root.iter("road"):
        if road.get("junction") != "-1":
            continue
        signals = ElementTree.SubElement(road, "signals")
        length_m = float(road.attrib["length"])
        for at_end in (True, False):
            link = road.find("link/successor" if at_end else "link/predecessor")
            if link is None or link.get("elementType") != "junction":
                continue
            of_junction = lights.setdefault(link.attrib["elementId"], [])
            name = f"{int(link.attrib['elementId']) * 10 + len(of_junction)}"
            of_junction.append(name)
            s_m = length_m - _BEFORE_M if at_end else _BEFORE_M
            _add_signal(signals, name, LIGHT, "yes", s_m, at_end)
        limit = _add_signal(
            signals, f"{int(road.attrib['id']) + 900_000}", LIMIT, "no", length_m / 2.0, True
        )
        limit.set("value", str(_LIMIT_KMH))
    first_junction = next(i for i, part in enumerate(root) if part.tag == "junction")
    for junction in root.findall("junction"):
        for order, name in enumerate(lights.get(junction.attrib["id"], [])):
            controller = ElementTree.Element("controller", id=f"c{name}", name=f"c{name}")
            ElementTree.SubElement(controller, "control", signalId=name, type="0")
            root.insert(first_junction, controller)
            ElementTree.SubElement(
                junction, "controller", id=f"c{name}", type="0", sequence=str(order)
            )
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _add_signal(
    signals: ElementTree.Element, name: str, kind: str, dynamic: str, s_m: float, along: bool
) -> ElementTree.Element:
    signal = ElementTree.SubElement(
        signals,
        "signal",
        {
            "name": f"signal_{name}", "id": name, "s": f"{s_m:.3f}",
            "t": f"{-_BESIDE_M if along else _BESIDE_M}", "zOffset": "4.0", "hOffset": "0",
            "orientation": "+" if along else "-", "dynamic": dynamic, "country": "OpenDRIVE",
            "type": kind, "subtype": "-1", "value": "-1", "height": "1", "width": "0.5",
        },
    )  # fmt: skip
    lane = "-1" if along else "1"
    ElementTree.SubElement(signal, "validity", fromLane=lane, toLane=lane)
    return signal
