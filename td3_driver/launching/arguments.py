# SPDX-License-Identifier: Apache-2.0
"""What an argument of a launch file may be, and its check; knows neither `launch` nor ROS.

What is given on the command line goes over the parameter file, and that over the default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os.path import expanduser
from pathlib import Path
from typing import Any

from td3_driver.ros.command_line import ParameterFileError, given_to

DRIVER, WORLD = "td3_driver", "carla_ros_bridge"  # the nodes' names
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
# Of `launch` itself, for everything that it starts.
OF_LAUNCH = (
    "emulate_tty", "launch-prefix", "launch-prefix-filter", "sigkill_timeout", "sigterm_timeout",
)  # fmt: skip

Value = str | int | float | bool


class ArgumentsError(RuntimeError):
    """Arguments that cannot be followed, one a line; `launch` shows a RuntimeError's text."""


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file.

    Args:
        name: as it is given, and as the nodes' parameter is called.
        default: as text; None: it must be given.
        description: for `ros2 launch ... --show-args`.
        kind: type of its value.
        choices: the values there are; besides, an empty default stands for itself.
        low: smallest number, itself allowed unless `above_low`.
        high: largest number.
        above_low: the smallest number itself is too small.
        exists: a path that must be there unless it is empty: "file", or "bag", a file or folder;
            `~` is the user's home, which no shell makes of it behind `:=`.
        topic_part: it becomes a part of topics' names.
        nodes: the nodes of which it is a parameter, `DRIVER` and `WORLD`.
    """

    name: str
    default: str | None
    description: str
    kind: type = str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above_low: bool = False
    exists: str = ""
    topic_part: bool = False
    nodes: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """The description, with the choices."""
        if not self.choices:
            return self.description
        return f"{self.description} One of: {', '.join(self.choices)}."

    def value(self, text: str) -> Value:
        """What the text says.

        Raises:
            ValueError: nothing that this argument may be; the message says what would be.
        """
        if self.kind is bool:
            if text.lower() not in _TRUE + _FALSE:
                raise ValueError("neither true nor false")
            return text.lower() in _TRUE
        if self.kind in (int, float):
            return self._number(text)
        if self.exists:
            text = expanduser(text)
        self._check_text(text)
        return text

    def _number(self, text: str) -> int | float:
        try:
            number: int | float = int(text) if self.kind is int else float(text)
        except ValueError:
            number = math.nan
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        fits = low < number <= high if self.above_low else low <= number <= high
        if not fits or not math.isfinite(number):
            raise ValueError(f"not {self._range()}")
        return number

    def _range(self) -> str:
        what = "a whole number" if self.kind is int else "a number"
        if self.low is None:
            return what
        if self.above_low:
            return f"{what} above {self.low:g}"
        if self.high is None:
            return f"{what} of at least {self.low:g}"
        return f"{what} from {self.low:g} to {self.high:g}"

    def _check_text(self, text: str) -> None:
        if text == "" and self.default == "":
            return
        if text == "":
            raise ValueError("empty")
        if self.choices and text not in self.choices:
            raise ValueError(f"not one of {', '.join(self.choices)}")
        if self.topic_part and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
            raise ValueError("not a part of a topic's name (letters, digits and _)")
        if self.exists == "file" and not Path(text).is_file():
            raise ValueError("no such file")
        if self.exists == "bag" and not Path(text).exists():
            raise ValueError("no such bag")


def checked(
    arguments: Sequence[Argument],
    texts: Mapping[str, str],
    given: Iterable[str],
    driver: str = f"/{DRIVER}",
) -> dict[str, Value]:
    """The value of every argument.

    Args:
        arguments: of the launch file.
        texts: what each of them is, given or by default.
        given: the names of those that were given; for the others the parameter file counts, if
            the launch file has one.
        driver: full name of the driver.

    Raises:
        ArgumentsError: a line for each that cannot be followed.
    """
    problems: list[str] = []
    values: dict[str, Value] = {}
    in_file: dict[str, str] = {}
    params_file = Path(expanduser(texts.get("params_file", "")))
    if params_file.is_file():
        try:
            in_file = {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in driver_parameters(params_file, driver).items()
            }
        except ParameterFileError as error:
            problems.append(f"params_file: {error}")
    for argument in arguments:
        name, text, source = argument.name, texts[argument.name], ""
        if DRIVER in argument.nodes and name in in_file and name not in given:
            text, source = in_file[name], f"params_file {params_file}: "
        try:
            values[name] = argument.value(text)
        except ValueError as error:
            said = f"{name}: {text}" if source else f"{name}:={text}"
            problems.append(f"{source}{said}: {error}")
    if problems:
        raise ArgumentsError("\n".join(problems))
    return values


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """See that there are no arguments but known ones; `launch` ignores them.

    Raises:
        ArgumentsError: a line for each of the others.
    """
    names = sorted({*known, *OF_LAUNCH})
    lines = []
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            guess = f"; did you mean {near[0]}?" if near else "; --show-args lists them"
            lines.append(f"{name}: no such argument{guess}")
    if lines:
        raise ArgumentsError("\n".join(lines))


def place(values: Mapping[str, Value]) -> str:
    """For the name of a run's folder: the town, the map, or how difficult the roads are."""
    if values["world"] == "carla":
        return str(values["town"])
    return str(values["map"] or values["difficulty"])


def driver_parameters(file: Path, driver: str) -> dict[str, Any]:
    """What a parameter file says to the driver, in whatever namespace that is started.

    Args:
        file: of parameters.
        driver: the full name.

    Raises:
        ParameterFileError: nothing, or it is no such file.
    """
    return given_to(file, driver, f"/{DRIVER}")
