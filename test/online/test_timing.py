# SPDX-License-Identifier: Apache-2.0
"""What frames' stamps say, and the latencies' figures."""

import numpy as np
import pytest

from td3_driver.online.timing import PERHAPS_S, SETTLE_S, Cadence, FrameClock, Latencies, Order

TICK_NS = 50_000_000


def judged(clock: FrameClock, *ticks: float) -> list[Order]:
    return [clock.judge(int(tick * TICK_NS)) for tick in ticks]


def test_in_real_time_gaps_are_missed_and_old_frames_stale() -> None:
    clock = FrameClock(0.05)
    assert judged(clock, 1, 2, 5, 4, 5, 6) == [
        Order.NEXT, Order.NEXT, Order.NEXT, Order.STALE, Order.STALE, Order.NEXT,
    ]  # fmt: skip
    assert (clock.frames, clock.missed, clock.stale) == (4, 2, 2)


def test_a_world_that_begins_anew_is_no_stale_frame() -> None:
    clock = FrameClock(0.05)
    assert judged(clock, 1000, 1, 2) == [Order.NEXT, Order.JUMPED, Order.NEXT]
    assert judged(clock, 500) == [Order.JUMPED]
    assert (clock.jumps, clock.missed, clock.stale) == (2, 0, 0)


def test_in_lockstep_every_step_back_is_a_new_world_and_nothing_is_missed() -> None:
    clock = FrameClock(0.0)
    assert judged(clock, 5, 7, 6, 6) == [Order.NEXT, Order.NEXT, Order.JUMPED, Order.STALE]
    assert clock.missed == 0


def test_in_lockstep_a_frame_before_half_a_frame_comes_too_late() -> None:
    """Odometry 7 alone was braked for; then image 6 completes the frame before it."""
    clock = FrameClock(0.0)
    assert judged(clock, 5) == [Order.NEXT]
    assert clock.judge(7 * TICK_NS, half=True) is Order.NEXT
    assert judged(clock, 6, 8, 7) == [Order.STALE, Order.NEXT, Order.JUMPED]


def test_a_camera_slower_than_half_a_second_makes_no_time_jump() -> None:
    clock = FrameClock(0.05)
    assert clock.judge(0) is Order.NEXT
    assert clock.judge(12 * TICK_NS, 0.6) is Order.NEXT
    assert clock.judge(24 * TICK_NS) is Order.JUMPED


def patiences(cadence: Cadence, ticks: int, pictures: set[int]) -> dict[int, float | None]:
    """What each tick without a picture is waited for, as a driver meets them: odometry first."""
    waits = {}
    for tick in range(1, ticks + 1):
        cadence.tick(tick * TICK_NS + tick % 2)  # CARLA's stamps are up to 1 ns short
        if tick in pictures:
            cadence.picture(tick * TICK_NS + tick % 2)
        else:
            waits[tick] = cadence.patience_s()
    return waits


def test_a_camera_of_every_tick_is_waited_for() -> None:
    cadence = Cadence()
    assert patiences(cadence, 12, set(range(1, 13)) - {8}) == {8: None}
    assert (cadence.ticks, cadence.period_s) == (1, pytest.approx(0.05, abs=1e-8))


def test_ticks_of_a_slow_camera_have_no_picture_to_wait_for() -> None:
    cadence = Cadence()
    waits = patiences(cadence, 13, {1, 4, 7, 10})
    assert waits == {
        2: None, 3: None, 5: SETTLE_S, 6: SETTLE_S, 8: SETTLE_S, 9: SETTLE_S, 11: SETTLE_S,
        12: SETTLE_S, 13: None,
    }  # fmt: skip
    assert (cadence.ticks, cadence.period_s) == (3, pytest.approx(0.15, abs=1e-8))


def test_an_uneven_camera_may_come_a_tick_later() -> None:
    """0.125 s among ticks of 0.05 s."""
    waits = patiences(Cadence(), 14, {1, 4, 6, 9, 11})
    assert waits[7] == waits[10] == waits[12] == SETTLE_S
    assert waits[8] == waits[13] == PERHAPS_S
    assert waits[14] is None, "later than any gap"


def test_a_camera_made_slower_is_known_after_five_pictures() -> None:
    cadence = Cadence()
    patiences(cadence, 10, set(range(1, 11)))
    for tick in range(11, 40):
        cadence.tick(tick * TICK_NS)
        if tick % 3 == 0:
            cadence.picture(tick * TICK_NS)
    assert cadence.ticks == 3


def test_a_world_begun_anew_has_to_show_its_camera_again() -> None:
    cadence = Cadence()
    patiences(cadence, 13, {10, 12})
    cadence.picture(TICK_NS)
    assert cadence.period_s == 0.0


def test_latencies() -> None:
    latencies = Latencies(0.05)
    assert latencies.percentile_ms(99.0) == 0.0
    values_s = np.random.default_rng(0).uniform(0.0, 0.1, 20_000)
    for value_s in values_s:
        latencies.add(float(value_s))
    assert latencies.late == int((values_s > 0.05).sum())
    # The last ten minutes, exactly.
    expected = float(np.percentile(values_s[-12_000:], 99.0)) * 1e3
    assert abs(latencies.percentile_ms(99.0) - expected) < 1e-3
