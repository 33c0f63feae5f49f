# SPDX-License-Identifier: Apache-2.0
"""Images and odometry that arrive in any order, with stamps of one clock tick or their own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from td3_driver.driving.messages.decoding import ego_state, stamp_ns
from td3_driver.driving.messages.encoding import odometry_like
from td3_driver.driving.messages.synchronisation import (
    PICTURES_KEPT,
    Pair,
    Pairing,
    StampMatcher,
    Sync,
)
from td3_driver.driving.types import EgoState, Pose
from td3_driver.ros.conversions import stamp_of

MS = 1_000_000


def image(time_ns: int) -> Image:
    message = Image()
    message.header.stamp = stamp_of(time_ns)
    return message


def ego_at(time_ns: int) -> EgoState:
    """A car that goes round a circle of 50 m at 10 m/s."""
    angle = 0.2 * time_ns * 1e-9
    yaw = math.remainder(angle + math.pi / 2.0, 2.0 * math.pi)
    return EgoState(
        time_ns, Pose(50.0 * math.cos(angle), 50.0 * math.sin(angle), yaw), 10.0, 0.0, 0.2
    )


def odometry(time_ns: int) -> Odometry:
    like = Odometry(child_frame_id="ego_vehicle")
    like.header.frame_id = "map"
    return odometry_like(like, ego_at(time_ns))


def times(pairs: list[Pair]) -> list[tuple[int, int]]:
    return [tuple(stamp_ns(one.header.stamp) for one in pair) for pair in pairs]  # type: ignore[misc]


class Listened:
    """Pairs, and what was told."""

    def __init__(self, sync: Sync) -> None:
        self.told: list[str] = []
        self.pairing = Pairing(sync, self.told.append)
        self.pairs: list[Pair] = []

    def image(self, time_ns: int, sent_ns: int = 0) -> list[Pair]:
        return self._keep(self.pairing.image(image(time_ns), sent_ns))

    def odometry(self, time_ns: int, sent_ns: int = 0) -> list[Pair]:
        return self._keep(self.pairing.odometry(odometry(time_ns), sent_ns))

    def _keep(self, pairs: list[Pair]) -> list[Pair]:
        self.pairs += pairs
        return pairs


@st.composite
def interleavings(draw: Any) -> list[tuple[str, int]]:
    """Images and odometries 1 to n, each in order, neither ahead by more than is kept."""
    count = draw(st.integers(1, 40))
    sent = {"image": 0, "odometry": 0}
    arrivals = []
    while min(sent.values()) < count:
        open_ = [
            kind
            for kind, other in (("image", "odometry"), ("odometry", "image"))
            if sent[kind] < count and sent[kind] - sent[other] < PICTURES_KEPT
        ]
        kind = draw(st.sampled_from(open_))
        sent[kind] += 1
        arrivals.append((kind, sent[kind]))
    return arrivals


def matched(arrivals: list[tuple[str, int]]) -> list[int]:
    matcher, found = StampMatcher(), []
    for kind, number in arrivals:
        message = image(number) if kind == "image" else odometry(number)
        if pair := getattr(matcher, kind)(message):
            assert stamp_ns(pair[0].header.stamp) == stamp_ns(pair[1].header.stamp) == number
            found.append(number)
    return found


@given(arrivals=interleavings())
def test_every_pair_is_found_whoever_comes_first(arrivals: list[tuple[str, int]]) -> None:
    assert matched(arrivals) == list(range(1, max(n for _, n in arrivals) + 1))


def test_two_ahead_are_two_pairs() -> None:
    arrivals = [("odometry", 1), ("odometry", 2), ("image", 1), ("image", 2)]
    assert matched(arrivals) == [1, 2]
    assert matched([(kind, n) for n in (1, 2) for kind in ("image", "odometry")]) == [1, 2]


@given(arrivals=interleavings(), sync=st.sampled_from([Sync(), Sync("exact")]))
def test_with_exact_stamps_frames_are_those_of_the_matcher_at_once(
    arrivals: list[tuple[str, int]], sync: Sync
) -> None:
    """Message by message the very same objects, and nothing is ever told."""
    matcher, heard = StampMatcher(), Listened(sync)
    for kind, number in arrivals:
        message = (image if kind == "image" else odometry)(50 * MS * number)
        wanted = getattr(matcher, kind)(message)
        found = getattr(heard.pairing, kind)(message, 0)
        assert len(found) == (1 if wanted else 0)
        if wanted:
            assert all(one is other for one, other in zip(found[0], wanted, strict=True))
    assert heard.told == []
    assert not heard.pairing.own_stamps


@pytest.mark.parametrize("late_ms", [0, 5, 60])
def test_own_stamps_show_and_are_interpolated(late_ms: int) -> None:
    """Odometry at 50 Hz, images at 30 Hz that arrive late: where the car was at their time."""
    heard = Listened(Sync())
    arrivals = [(20 * n, "odometry", 20 * n) for n in range(1, 100)]
    arrivals += [(round(33.3 * n) + late_ms, "image", round(33.3 * n)) for n in range(1, 60)]
    for _, kind, stamp_ms in sorted(arrivals):
        getattr(heard, kind)(stamp_ms * MS)
    assert heard.pairing.own_stamps
    (line,) = heard.told
    assert "stamps of their own" in line
    assert len(heard.pairs) >= 50  # a third of the images meets an odometry by chance
    for picture, place in heard.pairs:
        when = stamp_ns(picture.header.stamp)
        assert stamp_ns(place.header.stamp) == when
        assert place.header.frame_id == "map"
        found, wanted = ego_state(place), ego_at(when)
        assert (
            math.dist((found.pose.x_m, found.pose.y_m), (wanted.pose.x_m, wanted.pose.y_m)) < 1e-3
        )
        assert math.remainder(found.pose.yaw_rad - wanted.pose.yaw_rad, math.tau) == (
            pytest.approx(0.0, abs=1e-6)
        )
    stamps = [one for one, _ in times(heard.pairs)]
    assert stamps == sorted(set(stamps))


def test_a_lost_odometry_now_and_then_does_not_change_how_it_is_done() -> None:
    heard = Listened(Sync())
    for number in range(1, 200):
        heard.image(50 * MS * number)
        if number % 3:
            heard.odometry(50 * MS * number)
    assert not heard.pairing.own_stamps
    assert [n for n, _ in times(heard.pairs)] == [50 * MS * n for n in range(1, 200) if n % 3]


def test_images_that_come_late_are_no_sign_of_own_stamps() -> None:
    """Each after the next frame's pair: its odometry was there, and is gone by then."""
    heard = Listened(Sync())
    for number in range(2, 60, 2):
        for stamp in (number, number + 1):
            heard.odometry(50 * MS * stamp)
        heard.image(50 * MS * (number + 1))
        heard.image(50 * MS * number)
    assert not heard.pairing.own_stamps
    assert len(heard.pairs) == 29


def test_an_image_waits_for_the_odometry_after_it_and_no_longer() -> None:
    heard = Listened(Sync("interpolate", 0.1))
    heard.odometry(100 * MS)
    assert heard.image(110 * MS) == []
    assert times(heard.odometry(120 * MS)) == [(110 * MS, 110 * MS)]
    assert times(heard.image(115 * MS)) == [(115 * MS, 115 * MS)]  # both are there
    assert times(heard.image(120 * MS)) == [(120 * MS, 120 * MS)]  # of the same stamp: at once
    assert heard.image(130 * MS) == []
    assert heard.image(140 * MS) == []
    both = times(heard.odometry(150 * MS))  # the older first
    assert both == [(130 * MS, 130 * MS), (140 * MS, 140 * MS)]
    assert heard.image(160 * MS) == []
    assert heard.odometry(400 * MS) == []  # too far: it gets none
    assert heard.odometry(410 * MS) == []
    assert times(heard.image(405 * MS)) == [(405 * MS, 405 * MS)]


def test_nearest_is_the_odometry_as_it_is() -> None:
    heard = Listened(Sync("nearest", 0.1))
    heard.odometry(100 * MS)
    assert heard.image(104 * MS) == []  # a nearer one may come
    ((_, place),) = heard.odometry(120 * MS)
    assert ego_state(place).pose.x_m == pytest.approx(ego_at(100 * MS).pose.x_m)
    assert stamp_ns(place.header.stamp) == 104 * MS


def test_exact_never_guesses() -> None:
    heard = Listened(Sync("exact"))
    for number in range(1, 100):
        heard.odometry(20 * MS * number)
        heard.image(20 * MS * number - 7)
    assert heard.pairs == []
    assert heard.told == []


def test_without_stamps_the_time_of_sending_counts() -> None:
    heard = Listened(Sync())
    for number in range(1, 50):
        heard.odometry(0, sent_ns=20 * MS * number)
        heard.image(0, sent_ns=20 * MS * number + 5 * MS)
    (line,) = heard.told
    assert line.startswith("stamps are 0")
    stamps = [one for one, _ in times(heard.pairs)]
    assert stamps[0] == 0  # one alone may be the world's first tick
    assert stamps[1:] == [20 * MS * n + 5 * MS for n in range(2, 49)]


def test_the_first_tick_at_zero_is_a_tick() -> None:
    heard = Listened(Sync())
    for number in range(20):
        heard.odometry(50 * MS * number, sent_ns=7)
        heard.image(50 * MS * number, sent_ns=8)
    assert len(heard.pairs) == 20
    assert heard.told == []


@pytest.mark.parametrize("sync", [Sync(), Sync("interpolate"), Sync("nearest")])
def test_time_that_begins_anew_is_followed(sync: Sync) -> None:
    heard = Listened(sync)
    for _ in range(3):
        for number in range(1, 60):
            heard.odometry(20 * MS * number)
            heard.image(20 * MS * number + 3 * MS)
    assert len(heard.pairs) > 3 * 55 - 6
    for picture, place in heard.pairs:
        assert stamp_ns(picture.header.stamp) == stamp_ns(place.header.stamp)


@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from(["image", "odometry"]), st.integers(0, 3000)), max_size=80
    ),
    sync=st.sampled_from([Sync(), Sync("nearest"), Sync("interpolate", 0.01)]),
)
def test_whatever_comes_a_pair_is_of_one_time(arrivals: list[tuple[str, int]], sync: Sync) -> None:
    heard = Listened(sync)
    for number, (kind, stamp_ms) in enumerate(arrivals):
        pairs = getattr(heard, kind)(stamp_ms * MS, sent_ns=number * MS)
        for one, other in times(pairs):
            assert one == other
        assert times(pairs) == sorted(times(pairs))
