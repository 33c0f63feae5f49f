# SPDX-License-Identifier: Apache-2.0
"""What frames' stamps say, and the latencies' figures."""

import numpy as np

from td3_driver.online.timing import FrameClock, Latencies, Order

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
