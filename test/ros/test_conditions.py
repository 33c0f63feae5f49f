# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said once, and once when it is over, unless it comes and goes all the time."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from td3_driver.ros.driver.conditions import FLAPPING_S, RETURNS, WARN, Conditions


class Log:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.error = self.warning = self.info = self.lines.append


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr("td3_driver.ros.driver.conditions.time.monotonic", lambda: clock[0])
    return clock


def test_what_comes_and_goes_many_times_a_second_is_said_twice(now: list[float]) -> None:
    log = Log()
    made = Conditions(log)
    for _ in range(50):
        made.meet("time", "the stamps jumped", WARN)
        assert made.text == "the stamps jumped"
        assert made.level == WARN
        now[0] += 0.05
        made.over("time")
        assert made.level == DiagnosticStatus.OK
        now[0] += 0.05
    told = ["the stamps jumped", "time: all right again"]
    assert log.lines == told * RETURNS
    assert made.counts["time"] == 50
    now[0] += FLAPPING_S
    made.meet("time", "the stamps jumped", WARN)
    assert log.lines[4:] == ["the stamps jumped"]


def test_what_comes_back_and_stays_is_said(now: list[float]) -> None:
    log = Log()
    made = Conditions(log)
    for _ in range(RETURNS):
        made.hold("world", "lost")
        made.over("world")
    made.hold("world", "lost")
    made.hold("world", "lost")
    assert log.lines == ["lost", "world: all right again"] * RETURNS
    now[0] += 1.1 * FLAPPING_S
    made.hold("world", "lost")
    made.hold("world", "lost")
    assert log.lines[4:] == ["lost"]
    made.over("world")
    assert log.lines[5:] == ["world: all right again"]


def test_another_reason_is_said_at_once(now: list[float]) -> None:
    log = Log()
    made = Conditions(log)
    reasons = [f"too large: {size}" for size in range(RETURNS + 2)]
    for reason in reasons:
        made.meet("camera", reason)
        made.over("camera")
    assert log.lines[::2] == reasons
