# SPDX-License-Identifier: Apache-2.0
"""`td3_driver doctor`: finds what is missing or mismatched between bridge and driver."""

from __future__ import annotations

import enum
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from td3_driver.bags.topics import role_in
from td3_driver.driving.messages.decoding import ego_state
from td3_driver.driving.messages.pictures import ImageError, pixels
from td3_driver.driving.messages.topics import STATUS, WORLD_INFO, topic_of
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.online.timing import Cadence
from td3_driver.ros import names
from td3_driver.ros.doctor.probe import End, Heard, listen

MANUAL_CONTROL = "carla_manual_control"  # the bridge's node, which publishes override and commands
_UNANSWERED_SHARE = 0.05
_LATE_SHARE = 0.02
_MISSING_SHARE = 0.05
_NEWEST = 3  # newest frames, whose command may still be on its way
_TICK_S = 0.05  # assumed by limits in steps and by trained agents


class Verdict(enum.Enum):
    """The severity of a finding."""

    GOOD = "ok"
    HINT = "note"
    BAD = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the table: the thing that was checked, and the result."""

    verdict: Verdict
    what: str
    detail: str


Findings = Iterator[Finding]


def doctor(topics: names.EgoTopics, seconds: float) -> int:
    """Listen, print the table; return 0 if nothing is wrong, else 1."""
    findings = examine(listen(topics, seconds), topics)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.verdict.value:<5} {finding.what:<{width}}  {finding.detail}")
    bad = sum(finding.verdict is Verdict.BAD for finding in findings)
    print(f"{bad} of {len(findings)} checks failed" if bad else "nothing is wrong")
    return 1 if bad else 0


def examine(heard: Heard, topics: names.EgoTopics) -> list[Finding]:
    """Run every check on the messages that were heard."""
    checks: tuple[Callable[[Heard, names.EgoTopics], Findings], ...] = (
        _topics, _users, _town, _frames, _ticks, _reset, _commands, _answers, _people, _driver,
        _versions,
    )  # fmt: skip
    return [finding for check in checks for finding in check(heard, topics)]


def _good(what: str, detail: str) -> Finding:
    return Finding(Verdict.GOOD, what, detail)


def _hint(what: str, detail: str) -> Finding:
    return Finding(Verdict.HINT, what, detail)


def _bad(what: str, detail: str) -> Finding:
    return Finding(Verdict.BAD, what, detail)


def _topics(heard: Heard, topics: names.EgoTopics) -> Findings:
    """Check the driver's input topics: published once, of the right type, reliable, latched."""
    wanted = (
        WORLD_INFO,
        topics.of("odometry"),
        topics.image,
        topics.of("vehicle_status"),
        topics.of("collision"),
    )
    for topic in wanted:
        kind, publishers = topic_of(topic).type, heard.publishers.get(topic, [])
        kinds = {end.kind for end in publishers}
        if not publishers:
            yield _bad(topic, f"nobody publishes it{_other_roles(heard, topics)}")
        elif kinds != {kind}:
            yield _bad(topic, f"has type {', '.join(sorted(kinds))}; expected {kind}")
        elif len(publishers) > 1:
            yield _bad(topic, f"published by {_nodes(publishers)}; one bridge is enough")
        elif not publishers[0].reliable:
            yield _bad(topic, "best effort; the driver's subscription is reliable and hears none")
        elif topic_of(topic).latched and not publishers[0].latched:
            yield _bad(topic, "not latched (transient local); the driver hears none of it")
        else:
            yield _good(topic, f"{kind}, from {publishers[0].node}")


def _users(heard: Heard, topics: names.EgoTopics) -> Findings:
    """Check the topic of other road users, which only some drivers need."""
    topic, kind = topics.objects, topic_of(topics.objects).type
    publishers = heard.publishers.get(topic, [])
    wrong = sorted({end.kind for end in publishers} - {kind})
    if wrong:
        yield _bad(topic, f"has type {', '.join(wrong)}; expected {kind}")
    elif publishers:
        yield _good(topic, f"{kind}, from {publishers[0].node}")
    else:
        missing = "the car has no sensor.pseudo.objects"
        yield _hint(topic, f"nobody publishes it (optional): {missing}, others are not told of")


def _other_roles(heard: Heard, topics: names.EgoTopics) -> str:
    found = {role_in(topic) for topic, publishers in heard.publishers.items() if publishers}
    roles = sorted(role for role in found if role not in (None, topics.role_name))
    return f"; roles in the graph: {', '.join(roles)}" if roles else "; is the bridge running?"


def _town(heard: Heard, topics: names.EgoTopics) -> Findings:
    what = "town"
    if heard.world_info is None:
        yield _bad(what, f"nothing came on {WORLD_INFO} in {heard.seconds:g} s")
        return
    try:
        road_map = RoadMap(heard.world_info.opendrive, heard.world_info.map_name)
    except RoadMapError as error:
        yield _bad(what, str(error))
    else:
        yield _good(what, "; ".join((heard.world_info.map_name, *road_map.notes)))


def _frames(heard: Heard, topics: names.EgoTopics) -> Findings:
    what = "frames"
    both = set(heard.images) & set(heard.odometries)
    if heard.image is None or heard.odometry is None:
        silent = "image" if heard.odometry else "odometry" if heard.image else "image or odometry"
        yield _bad(what, f"no {silent} in {heard.seconds:g} s")
        return
    rates = f"{len(heard.images) / heard.seconds:.1f} images/s"
    if 2 * len(both) < len(heard.images):
        stamps = f"{len(both)} of {len(heard.images)} images have odometry of the same stamp"
        yield _bad(what, f"{rates}, but {stamps}; in real time odometry is interpolated (sync)")
    else:
        yield _good(what, f"{rates}, with odometry of the same stamp")
        yield from _sensor_tick(heard)
    try:
        pixels(heard.image)
    except ImageError as error:
        yield _bad("camera", str(error))
    else:
        size = f"{heard.image.width}x{heard.image.height}"
        yield _good("camera", f"{size}, {heard.image.encoding}")
    if not ego_state(heard.odometry).finite:
        yield _bad("odometry", "not finite")
    yield _good("map frame", heard.odometry.header.frame_id)  # map, or carla_map in a fork


def _sensor_tick(heard: Heard) -> Findings:
    """Check whether the camera shows every tick."""
    cadence = Cadence()
    for stamp in sorted({*heard.odometries}):
        cadence.tick(stamp)
    for stamp in sorted({*heard.images}):
        cadence.picture(stamp)
    if cadence.ticks > 1:
        share = f"a picture in one tick of {cadence.ticks}"
        yield _hint("sensor_tick", f"{share}; in lock-step each command is held for so many")


def _ticks(heard: Heard, topics: names.EgoTopics) -> Findings:
    """Check the ticks of the world: their period, and that none is missing."""
    status = heard.status
    paused = f"a bridge that is paused goes on with PLAY on {names.RUN_CONTROL}"
    if status is None:
        yield _hint(STATUS, f"nothing came in {heard.seconds:g} s; {paused}")
        return
    if status.synchronous_mode and not status.synchronous_mode_running:
        yield _hint(STATUS, f"the last one told of a pause; {paused}")
    tick_s = status.fixed_delta_seconds
    if status.synchronous_mode and abs(tick_s - _TICK_S) > 1e-4:
        yield _bad("ticks", f"fixed_delta_seconds is {tick_s:g}; the driver counts on {_TICK_S:g}")
    if not status.synchronous_mode and tick_s:  # else steps are as long as they take
        yield from _missing(heard)


def _missing(heard: Heard) -> Findings:
    """Check in real time, where nobody waits, that hardly a picture is missing."""
    stamps = sorted({*heard.images})
    gaps_ns = [after - before for before, after in itertools.pairwise(stamps)]
    if not gaps_ns:
        return
    missing = sum(round(gap_ns / min(gaps_ns)) - 1 for gap_ns in gaps_ns)
    taken = missing + len(stamps)
    if missing > _MISSING_SHARE * taken:
        slow = "world and bridge are too slow for real time here; lock-step waits"
        yield _bad("real time", f"{missing} of {taken} pictures are missing by the stamps; {slow}")


def _reset(heard: Heard, topics: names.EgoTopics) -> Findings:
    topic = topics.set_transform
    subscribers = heard.subscribers.get(topic, [])
    if subscribers:
        yield _good(topic, f"obeyed by {_nodes(subscribers)}")
    else:
        missing = f"the car needs an actor.pseudo.control with id {topics.control_id!r}"
        yield _bad(topic, f"nobody listens, so nobody can reset the car; {missing}")


def _commands(heard: Heard, topics: names.EgoTopics) -> Findings:
    topic = topics.control
    publishers, subscribers = heard.publishers.get(topic, []), heard.subscribers.get(topic, [])
    if not subscribers:
        yield _bad(topic, "nobody obeys it; does the bridge know this role name?")
    if len(publishers) > 1:
        yield _bad(topic, f"published by {_nodes(publishers)}; the car obeys whoever came last")
    elif publishers:
        yield _good(topic, f"published by {publishers[0].node}")
    else:
        yield _hint(topic, "nobody drives")


def _answers(heard: Heard, topics: names.EgoTopics) -> Findings:
    """Check in lock-step that each frame has one command with its stamp."""
    what = "lock-step"
    status = heard.status
    if status is None:
        return
    if not status.synchronous_mode:
        yield _hint(what, "the world does not tick in synchronous mode; use stepping:=realtime")
        return
    if not heard.publishers.get(topics.control):
        return
    if not heard.commands:
        yield _bad(what, f"no command in {heard.seconds:g} s")
        return
    # Commands may have been discovered later than images.
    first = min(heard.commands)
    frames = [stamp for stamp in heard.images[:-_NEWEST] if stamp >= first]
    unanswered = [stamp for stamp in frames if heard.commands[stamp] == 0]
    twice = [stamp for stamp in frames if heard.commands[stamp] > 1]
    if twice:
        yield _bad(what, f"{len(twice)} of {len(frames)} frames got more than one command")
    elif len(unanswered) > _UNANSWERED_SHARE * len(frames):
        hint = "does the driver stamp them, does the bridge wait for them?"
        yield _bad(what, f"{len(unanswered)} of {len(frames)} frames got no command; {hint}")
    elif frames:
        yield _good(what, f"{len(frames)} frames, one command each")
    late = sum(
        not heard.controls[one].moves_like(heard.executed[other])
        for one, other in itertools.pairwise(frames)
        if one in heard.controls and other in heard.executed
    )
    if late and not (heard.override is not None and heard.override.data):
        told = f"{late} of {len(frames)} commands took effect later than in the next step"
        yield (_bad if late > _LATE_SHARE * len(frames) else _hint)(what, told)


def _people(heard: Heard, topics: names.EgoTopics) -> Findings:
    if heard.override is not None and heard.override.data:
        yield _hint("manual override", "on: a human drives, our commands are ignored")
    manual = [name for name in heard.nodes if MANUAL_CONTROL in name]
    if manual:
        yield _hint("manual control", f"{', '.join(manual)} runs; it may take the car over")


def _driver(heard: Heard, topics: names.EgoTopics) -> Findings:
    for name, message in heard.complaints.items():
        yield _bad(name, message)


def _versions(heard: Heard, topics: names.EgoTopics) -> Findings:
    """Report versions: the bridge exits unless package and server match it; we need neither."""
    what, wanted = "carla package", _bridge_wants()
    try:
        ours = version("carla")
    except PackageNotFoundError:
        if wanted:
            yield _bad(what, f"not installed; the bridge wants exactly {wanted}")
        return
    if not wanted:
        yield _good(what, f"{ours}; the bridge wants the server's own version")
    elif wanted == ours:
        yield _good(what, f"{ours}, as the bridge wants package and server to be")
    else:
        yield _bad(what, f"{ours}; the bridge wants exactly {wanted} (its file CARLA_VERSION)")


def _bridge_wants() -> str:
    """Return the version that this environment's bridge requires; "" if it is not installed."""
    bridge = importlib.util.find_spec("carla_ros_bridge")
    if bridge is None or bridge.origin is None:
        return ""
    file = Path(bridge.origin).with_name("CARLA_VERSION")
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _nodes(ends: list[End]) -> str:
    return ", ".join(sorted(end.node for end in ends))
