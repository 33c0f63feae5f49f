# SPDX-License-Identifier: Apache-2.0
"""Arguments of launch files and their check; knows neither `launch` nor ROS.

The command line overrides the parameter file, which overrides the default.
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

from td3_driver.arguments import DIFFICULTIES
from td3_driver.ros.command_line import ParameterFileError, given_to

DRIVER, WORLD = "td3_driver", "carla_ros_bridge"  # the nodes' names
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
# Of `launch` itself, for everything that it starts.
OF_LAUNCH = (
    "emulate_tty", "launch-prefix", "launch-prefix-filter", "sigkill_timeout", "sigterm_timeout",
)  # fmt: skip

Value = str | int | float | bool


class ArgumentsError(RuntimeError):
    """Arguments that cannot be used, a line each; `launch` shows the text of a RuntimeError."""


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file.

    Args:
        name: name of the argument and of the nodes' parameter.
        default: the default as text; None: the argument must be given.
        description: for `ros2 launch ... --show-args`.
        kind: type of its value.
        choices: the allowed values; an empty default is allowed too.
        low: smallest allowed number, or with `above_low` the largest that is too small.
        high: largest allowed number.
        above_low: whether `low` itself is too small.
        exists: a path that must be there unless it is empty: "file", "bag", a file or folder, or
            "maps", files or names of difficulties, separated by ':';
            `~` is the user's home, which no shell makes of it behind `:=`.
        topic_part: it becomes a part of topic names.
        nodes: the nodes that have it as a parameter, `DRIVER` and `WORLD`.
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
        """The value that a text stands for.

        Raises:
            ValueError: the argument may not have that value; the message says what it may have.
        """
        if self.kind is bool:
            if text.lower() not in _TRUE + _FALSE:
                raise ValueError("neither true nor false")
            return text.lower() in _TRUE
        if self.kind in (int, float):
            return self._number(text)
        if self.exists:
            text = ":".join(map(expanduser, text.split(":")))
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
        if self.exists == "maps" and not Path(text).is_file():
            for one in text.split(":"):
                if one not in DIFFICULTIES and not Path(one).is_file():
                    raise ValueError(f"{one}: no such file" if one != text else "no such file")
        if self.exists == "bag" and not Path(text).exists():
            raise ValueError("no such bag")


def checked(
    arguments: Sequence[Argument],
    texts: Mapping[str, str],
    given: Iterable[str],
    driver: str = f"/{DRIVER}",
) -> dict[str, Value]:
    """The checked value of every argument.

    Args:
        arguments: the arguments of the launch file.
        texts: the text of each of them, given or default.
        given: the names of the given ones; the parameter file, if the launch file has one, has the
            values of the others.
        driver: full name of the driver.

    Raises:
        ArgumentsError: a line for each argument that cannot be used.
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
    """Check that all given arguments are known; `launch` would ignore the others.

    Raises:
        ArgumentsError: a line for each unknown argument.
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
    """The part of a run folder's name that says where: the town, the map, or the difficulty."""
    if values["world"] == "carla":
        return str(values["town"])
    return str(values["map"] or values["difficulty"])


def driver_parameters(file: Path, driver: str) -> dict[str, Any]:
    """The parameters that a file has for the driver, in whichever namespace the driver is.

    Args:
        file: the parameter file.
        driver: the full name of the driver.

    Raises:
        ParameterFileError: it has none, or is no such file.
    """
    return given_to(file, driver, f"/{DRIVER}")
