# SPDX-License-Identifier: Apache-2.0
"""The bodies of CARLA 0.9.16's blueprint library: vehicles, pedestrians, props, with their sizes.

Sources: names and sizes from a list of all blueprints of a 0.9.16 server that the Scenic project
measured, rounded to cm; the vehicles' other attributes from CARLA's vehicle catalogue
(docs/catalogue_vehicles, docs/bp_library); of pedestrians the order of its pedestrian catalogue.
An empty base type is CARLA's own (its issue 9397). **Plausible, not CARLA's**: masses other than
those of Model 3 and MKZ 2017; most genders of pedestrians, their generations, wheelchairs.
"""

from __future__ import annotations

from typing import NamedTuple


class VehicleModel(NamedTuple):
    """A vehicle: sizes of its box, mass with a rider on two wheels, and CARLA's attributes.

    Attributes:
        name: CARLA's name without "vehicle.".
        base: "car", "truck", "van", "bus", "motorcycle", "bicycle", or "" where CARLA gives none.
        special: "emergency", "taxi", "electric" or "".
        lights, doors: it has lights that can be lit, and doors that open.
    """

    name: str
    length_m: float
    width_m: float
    height_m: float
    mass_kg: float
    base: str
    generation: int
    special: str = ""
    lights: bool = False
    doors: bool = False


class WalkerModel(NamedTuple):
    """A pedestrian; `number` is that of its name, as in "walker.pedestrian.0001"."""

    number: int
    gender: str
    age: str
    generation: int
    length_m: float
    width_m: float
    height_m: float


# fmt: off
VEHICLES = (
    VehicleModel("audi.a2", 3.71, 1.79, 1.55, 1010.0, "car", 1),
    VehicleModel("audi.etron", 4.86, 2.03, 1.65, 2490.0, "car", 1, "electric"),
    VehicleModel("audi.tt", 4.18, 1.99, 1.39, 1335.0, "car", 1),
    VehicleModel("bh.crossbike", 1.51, 0.87, 1.61, 87.0, "bicycle", 1),
    VehicleModel("bmw.grandtourer", 4.61, 2.24, 1.67, 1540.0, "", 1),
    VehicleModel("carlamotors.carlacola", 5.20, 2.63, 2.47, 5500.0, "truck", 1),
    VehicleModel("carlamotors.european_hgv", 7.94, 2.89, 3.46, 9500.0, "truck", 2),
    VehicleModel(
        "carlamotors.firetruck", 8.47, 2.89, 3.83, 14000.0, "truck", 2, "emergency", True, True,
    ),
    VehicleModel("chevrolet.impala", 5.36, 2.03, 1.41, 1750.0, "car", 1),
    VehicleModel("citroen.c3", 3.99, 1.85, 1.62, 1090.0, "car", 1),
    VehicleModel("diamondback.century", 1.66, 0.58, 1.62, 84.0, "bicycle", 1),
    VehicleModel("dodge.charger_2020", 5.01, 1.88, 1.53, 1800.0, "car", 2, "", True, True),
    VehicleModel("dodge.charger_police", 4.97, 2.04, 1.54, 1850.0, "car", 1, "emergency"),
    VehicleModel(
        "dodge.charger_police_2020", 5.24, 1.93, 1.64, 1920.0, "car", 2, "emergency", True, True,
    ),
    VehicleModel("ford.ambulance", 6.37, 2.35, 2.43, 4500.0, "van", 2, "emergency", True, True),
    VehicleModel("ford.crown", 5.37, 1.80, 1.57, 1880.0, "car", 2, "taxi", True, True),
    VehicleModel("ford.mustang", 4.72, 1.89, 1.30, 1330.0, "car", 1),
    VehicleModel("gazelle.omafiets", 1.84, 0.66, 1.78, 93.0, "bicycle", 1),
    VehicleModel("harley-davidson.low_rider", 2.35, 0.77, 1.65, 365.0, "motorcycle", 1),
    VehicleModel("jeep.wrangler_rubicon", 3.87, 1.91, 1.88, 1900.0, "car", 1),
    VehicleModel("kawasaki.ninja", 2.04, 0.80, 1.52, 265.0, "motorcycle", 1),
    VehicleModel("lincoln.mkz_2017", 4.90, 2.13, 1.51, 1696.0, "car", 1),
    VehicleModel("lincoln.mkz_2020", 4.89, 1.84, 1.49, 1760.0, "car", 2, "", True, True),
    VehicleModel("mercedes.coupe", 5.03, 2.15, 1.65, 1735.0, "car", 1),
    VehicleModel("mercedes.coupe_2020", 4.67, 1.81, 1.44, 1650.0, "car", 2, "", True, True),
    VehicleModel("mercedes.sprinter", 5.92, 1.99, 2.56, 2150.0, "van", 2, "", True, True),
    VehicleModel("micro.microlino", 2.21, 1.48, 1.38, 513.0, "car", 1, "electric"),
    VehicleModel("mini.cooper_s", 3.81, 1.97, 1.48, 1235.0, "", 1),
    VehicleModel("mini.cooper_s_2021", 4.55, 2.10, 1.77, 1400.0, "car", 2, "", True, True),
    VehicleModel("mitsubishi.fusorosa", 10.27, 3.94, 4.25, 9000.0, "bus", 2, "", True),
    VehicleModel("nissan.micra", 3.63, 1.85, 1.50, 1030.0, "car", 1),
    VehicleModel("nissan.patrol", 4.60, 1.93, 1.85, 2170.0, "car", 1),
    VehicleModel("nissan.patrol_2021", 5.57, 2.15, 2.05, 2850.0, "car", 2, "", True, True),
    VehicleModel("seat.leon", 4.19, 1.82, 1.47, 1320.0, "car", 1),
    VehicleModel("tesla.cybertruck", 6.27, 2.39, 2.10, 3000.0, "truck", 2, "electric"),
    VehicleModel("tesla.model3", 4.79, 2.16, 1.49, 1845.0, "car", 1, "electric"),
    VehicleModel("toyota.prius", 4.51, 2.01, 1.52, 1400.0, "car", 1, "electric"),
    VehicleModel("vespa.zx125", 1.82, 0.87, 1.59, 190.0, "motorcycle", 1),
    VehicleModel("volkswagen.t2", 4.48, 2.07, 2.04, 1300.0, "van", 1),
    VehicleModel("volkswagen.t2_2021", 4.44, 1.77, 1.99, 1350.0, "van", 2, "", True, True),
    VehicleModel("yamaha.yzf", 2.19, 0.87, 1.53, 260.0, "motorcycle", 1),
)

# Length, width and height, m, by the name without "static.prop.".
PROPS: dict[str, tuple[float, float, float]] = {
    "advertisement": (1.55, 0.29, 2.44), "aporosatree": (12.96, 12.58, 15.63),
    "atm": (0.71, 0.87, 2.28), "barbeque": (0.95, 0.50, 1.26), "barrel": (0.46, 0.47, 0.81),
    "bench01": (1.54, 0.74, 0.97), "bench02": (1.56, 0.54, 0.51), "bench03": (1.58, 0.51, 0.51),
    "bike helmet": (0.19, 0.28, 0.17), "bin": (0.55, 0.64, 1.06), "box01": (0.65, 0.65, 0.69),
    "box02": (0.65, 0.65, 0.65), "box03": (0.66, 0.67, 0.65), "briefcase": (0.54, 0.18, 0.43),
    "brokentile01": (0.13, 0.18, 0.01), "brokentile02": (0.21, 0.15, 0.01),
    "brokentile03": (0.15, 0.14, 0.01), "brokentile04": (0.13, 0.13, 0.01),
    "busstop": (3.88, 1.89, 2.74), "busstoplb": (1.89, 3.88, 2.74),
    "calibrator": (1.55, 0.69, 0.20), "chainbarrier": (1.49, 0.24, 0.89),
    "chainbarrierend": (0.24, 0.24, 0.89), "clothcontainer": (1.24, 1.89, 1.81),
    "clothesline": (6.65, 1.12, 2.06), "coconutpalm": (8.60, 8.89, 20.31),
    "colacan": (0.07, 0.07, 0.11), "constructioncone": (0.34, 0.34, 0.59),
    "container": (1.93, 1.01, 1.71), "creasedbox01": (0.81, 0.71, 0.12),
    "creasedbox02": (1.63, 0.71, 0.21), "creasedbox03": (1.67, 0.71, 0.02),
    "cypresstree": (4.61, 4.63, 15.68), "dirtdebris01": (1.86, 1.51, 0.15),
    "dirtdebris02": (1.86, 1.51, 0.15), "dirtdebris03": (1.86, 1.51, 0.19),
    "doghouse": (1.08, 1.27, 1.09), "foodcart": (2.28, 4.64, 3.57), "fountain": (8.40, 8.40, 6.92),
    "garbage01": (0.05, 0.05, 0.09), "garbage02": (0.05, 0.05, 0.01),
    "garbage03": (0.06, 0.06, 0.08), "garbage04": (0.06, 0.06, 0.07),
    "garbage05": (0.23, 0.23, 0.06), "garbage06": (0.37, 0.21, 0.08),
    "gardenlamp": (0.30, 0.28, 0.65), "glasscontainer": (1.95, 2.01, 1.79),
    "gnome": (0.37, 0.38, 0.88), "guitarcase": (1.24, 0.13, 0.49), "haybale": (1.25, 1.19, 1.19),
    "haybalelb": (1.25, 1.19, 1.19), "ironplank": (1.45, 1.17, 0.02),
    "kiosk_01": (1.63, 1.65, 3.25), "mailbox": (0.53, 0.44, 1.16), "maptable": (1.57, 0.62, 1.18),
    "mobile": (0.08, 0.01, 0.17), "motorhelmet": (0.20, 0.26, 0.26), "pergola": (5.03, 5.09, 3.54),
    "plantpot01": (1.09, 0.48, 0.56), "plantpot02": (1.05, 0.43, 0.49),
    "plantpot03": (1.05, 0.43, 0.49), "plantpot04": (4.97, 0.74, 0.12),
    "plantpot05": (0.40, 0.40, 0.28), "plantpot06": (1.59, 1.59, 0.85),
    "plantpot07": (0.49, 0.48, 0.56), "plantpot08": (0.53, 0.53, 0.49),
    "plasticbag": (0.31, 0.40, 0.55), "plasticchair": (0.73, 0.75, 1.27),
    "plastictable": (2.48, 2.48, 2.48), "platformgarbage01": (3.63, 1.71, 0.33),
    "purse": (0.16, 0.33, 0.59), "shoppingbag": (0.47, 0.24, 0.60),
    "shoppingcart": (0.67, 1.21, 1.08), "shoppingtrolley": (0.51, 0.33, 1.09),
    "slide": (0.94, 4.12, 1.98), "streetbarrier": (1.21, 0.37, 1.07),
    "streetfountain": (0.29, 0.67, 1.26), "streetsign": (1.06, 0.13, 2.15),
    "streetsign01": (2.47, 0.30, 3.88), "streetsign04": (1.17, 0.12, 2.77),
    "swing": (4.11, 1.58, 2.57), "swingcouch": (1.36, 2.36, 2.25), "table": (2.16, 2.15, 0.85),
    "trafficcone01": (0.88, 0.88, 1.13), "trafficcone02": (0.46, 0.39, 1.18),
    "trafficwarning": (2.37, 2.87, 3.57), "trampoline": (4.13, 4.13, 2.80),
    "trashbag": (0.38, 0.43, 0.70), "trashcan01": (0.64, 0.57, 0.85),
    "trashcan02": (0.52, 0.51, 1.05), "trashcan03": (0.63, 0.55, 0.93),
    "trashcan04": (0.79, 0.58, 1.02), "trashcan05": (0.79, 0.58, 1.02),
    "travelcase": (0.57, 0.33, 1.26), "vendingmachine": (0.87, 1.10, 2.11),
    "warningaccident": (1.31, 1.06, 1.86), "warningconstruction": (1.31, 1.06, 1.86),
    "wateringcan": (0.07, 0.19, 0.13),
}
# fmt: on

_CHILDREN = {9: "female", 10: "female", 11: "female", 12: "male", 13: "male", 14: "male",
             48: "female", 49: "male"}  # fmt: skip
_SMALL = frozenset({9, 10, 11, 48, 49})
_WOMEN = frozenset(
    {1, 5, 6, 7, 8, 15, 19, 18, 26, 22, 23, 27, 28, 29, 34, 38, 39, 45, 46, 47, 51, 30}
)
_COUNT = 52
_FIRST_OF_GENERATION_2 = 15


def _walker(number: int) -> WalkerModel:
    generation = 2 if number >= _FIRST_OF_GENERATION_2 else 1
    if number not in _CHILDREN:
        gender = "female" if number in _WOMEN else "male"
        return WalkerModel(number, gender, "adult", generation, 0.38, 0.38, 1.86)
    size = (0.50, 0.50, 1.10) if number in _SMALL else (0.38, 0.38, 1.30)
    return WalkerModel(number, _CHILDREN[number], "child", generation, *size)


WALKERS = tuple(_walker(number) for number in range(1, _COUNT + 1))
