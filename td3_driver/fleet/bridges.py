# SPDX-License-Identifier: Apache-2.0
"""The bridges that a fleet drives through, from a YAML file.

    bridges:
      - domain: 11                       # ROS_DOMAIN_ID in which the bridge speaks
        role_name: ego_vehicle           # of the car; optional, as all that follows
        camera: rgb_front
        stepping: lockstep               # or realtime
        host: carla-3                    # of the CARLA server, port, town: for messages alone
        port: 2000
        town: Town03
        start: [ros2, launch, my_setup, bridge.launch.py]   # started, and restarted, here
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from td3_driver.ros.train.domains import LAST_DOMAIN

_STEPPING = ("lockstep", "realtime")


class BridgesError(ValueError):
    """A file of bridges cannot be used; one line names it and says why."""


@dataclass(frozen=True)
class Bridge:
    """One bridge; see the module.

    Attributes:
        start: the command that starts it, and CARLA, for as long as the collector lives; empty:
            it is there already.
    """

    domain: int
    role_name: str = "ego_vehicle"
    camera: str = "rgb_front"
    stepping: str = "lockstep"
    host: str = "localhost"
    port: int = 2000
    town: str = ""
    start: tuple[str, ...] = ()

    def __str__(self) -> str:
        town = f", {self.town}" if self.town else ""
        return f"{self.host}:{self.port}{town} in ROS domain {self.domain}"


def read_bridges(path: Path) -> tuple[Bridge, ...]:
    """Read a file of bridges.

    Raises:
        BridgesError: it is no such file.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise BridgesError(f"--bridges {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise BridgesError(f"--bridges {path}: not YAML: {reason}") from error
    listed = content.get("bridges") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise BridgesError(f"--bridges {path}: expected bridges: and a list of them")
    found = tuple(
        _bridge(one, f"--bridges {path}: bridge {number}")
        for number, one in enumerate(listed, start=1)
    )
    if len({(one.domain, one.role_name) for one in found}) < len(found):
        raise BridgesError(f"--bridges {path}: two have the same domain and role_name")
    return found


def _bridge(given: Any, where: str) -> Bridge:
    if not isinstance(given, dict):
        raise BridgesError(f"{where}: expected settings, as domain: 11")
    known = {item.name: item for item in fields(Bridge)}
    if unknown := [str(name) for name in given if name not in known]:
        raise BridgesError(
            f"{where}: {unknown[0]}: no such setting; there are {', '.join(known)}"
        )
    start = given.get("start", [])
    if not isinstance(start, list) or not all(isinstance(word, str) for word in start):
        raise BridgesError(f"{where}: start: expected the words of a command, as a list")
    for name in ("role_name", "camera", "host", "town"):
        if not isinstance(given.get(name, ""), str):
            raise BridgesError(f"{where}: {name}: {given[name]!r} is no text")
    _check_number(given, "domain", LAST_DOMAIN, where)
    _check_number({"port": Bridge.port, **given}, "port", 65535, where)
    if given.get("stepping", _STEPPING[0]) not in _STEPPING:
        raise BridgesError(
            f"{where}: stepping: {given['stepping']!r}; expected {' or '.join(_STEPPING)}"
        )
    return Bridge(**{**given, "start": tuple(start)})


def _check_number(given: dict[str, Any], name: str, most: int, where: str) -> None:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise BridgesError(f"{where}: {name}: {value!r}; expected a number from 0 to {most}")
