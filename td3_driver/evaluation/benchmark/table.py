# SPDX-License-Identifier: Apache-2.0
"""The table of a benchmark: what the paper measured in CARLA beside what was driven here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NOT_MEASURED = "not measured"
NO_SOURCE = "–"


def header(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """The titles of the table's columns; `metrics` is the content of metrics.json."""
    ours = ("drives", "collisions per km", "lights on red")
    return ("conditions", "task", *metrics["published"]["methods"], metrics["policy"], *ours)


def rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of the table, as texts."""
    for result in metrics["results"]:
        published = (success or NO_SOURCE for success in result["published"].values())
        yield (result["conditions"], result["task"], *published, *_ours(result))


def legend(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What the numbers are, and where they were measured: a sentence or two each."""
    published, definition = metrics["published"], metrics["definition"]
    routes = " and ".join(f"{town['routes']} in {town['map']}" for town in metrics["towns"])
    return (
        f"{metrics['title']}: success in %. {definition['success']}",
        f"{', '.join(published['methods'])}: measured in CARLA by {published['paper']}, over their"
        f" routes. {metrics['policy']}: measured in the embedded world, which is not CARLA, over"
        f" the given routes ({routes}), with 95 % intervals.",
        *metrics["remarks"],
    )


def markdown(metrics: Mapping[str, Any]) -> str:
    """The table and its legend as Markdown whose columns are aligned."""
    lines = [header(metrics), *rows(metrics)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    table = [_line(cells, widths) for cells in (lines[0], rule, *lines[1:])]
    return "\n\n".join(["\n".join(table), *legend(metrics)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _ours(result: Mapping[str, Any]) -> tuple[str, str, str, str]:
    if result["why_not_driven"]:
        return (NOT_MEASURED, "0", NO_SOURCE, NO_SOURCE)
    low, high = (100.0 * end for end in result["confidence_95"]["success_rate"])
    per_km = result["collisions_per_km"]
    crossed, on_red = result["lights_crossed"], result["lights_on_red"]
    return (
        f"{100.0 * result['success_rate']:.0f} [{low:.0f}, {high:.0f}]",
        str(result["episodes"]),
        NO_SOURCE if per_km is None else f"{per_km:.2f}",
        f"{on_red} of {crossed}" if crossed else NO_SOURCE,
    )
