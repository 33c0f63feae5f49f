# SPDX-License-Identifier: Apache-2.0
"""The table of `td3_driver benchmark`, to the letter."""

from typing import Any

from td3_driver.evaluation.benchmark.table import markdown


def result(conditions: str, task: str, published: list[str], **ours: Any) -> dict[str, Any]:
    methods = dict(zip(("CIL", "CILR"), published, strict=True))
    return {"conditions": conditions, "task": task, "published": methods, **ours}


METRICS = {
    "title": "NoCrash",
    "policy": "td3_7.pth",
    "definition": {"success": "A drive succeeds that arrives."},
    "published": {"paper": "Codevilla et al. 2019", "methods": ["CIL", "CILR"]},
    "towns": [{"map": "Town01", "routes": 10}, {"map": "Town02", "routes": 6}],
    "remarks": ["Lights do not count."],
    "results": [
        result(
            "training conditions", "Empty", ["79 ± 1", "92 ± 1"],
            why_not_driven="", episodes=40, success_rate=0.95, collisions_per_km=0.0,
            confidence_95={"success_rate": [0.8347, 0.9862]}, lights_crossed=61, lights_on_red=2,
        ),
        result(
            "new town", "Dense", ["10 ± 2", ""],
            why_not_driven="", episodes=1, success_rate=0.0, collisions_per_km=None,
            confidence_95={"success_rate": [0.0, 0.7935]}, lights_crossed=0, lights_on_red=0,
        ),
        result("new weather", "Empty", ["83 ± 2", ""], why_not_driven="no such weather"),
    ],
}  # fmt: skip

TEXT = """\
| conditions          | task  | CIL    | CILR   | td3_7.pth    | drives | collisions per km | \
lights on red |
| ------------------- | ----- | ------ | ------ | ------------ | ------ | ----------------- | \
------------- |
| training conditions | Empty | 79 ± 1 | 92 ± 1 | 95 [83, 99]  | 40     | 0.00              | \
2 of 61       |
| new town            | Dense | 10 ± 2 | –      | 0 [0, 79]    | 1      | –                 | \
–             |
| new weather         | Empty | 83 ± 2 | –      | not measured | 0      | –                 | \
–             |

NoCrash: success in %. A drive succeeds that arrives.

CIL, CILR: measured in CARLA by Codevilla et al. 2019, over their routes. td3_7.pth: measured in \
the embedded world, which is not CARLA, over the given routes (10 in Town01 and 6 in Town02), \
with 95 % intervals.

Lights do not count."""


def test_the_table_says_what_was_measured_where() -> None:
    assert markdown(METRICS) == TEXT
