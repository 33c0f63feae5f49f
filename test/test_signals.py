# SPDX-License-Identifier: Apache-2.0
"""A signal waits for what must not be cut short."""

import os
import signal

import pytest

from td3_driver import signals


@pytest.mark.parametrize("number", signals.ENDING)
def test_what_is_begun_is_finished_before_a_signal_is_handled(number: signal.Signals) -> None:
    signals.handle(signals.raise_once(signals.Interrupted()))
    finished = False
    with pytest.raises(signals.Interrupted), signals.held_back():  # noqa: PT012
        os.kill(os.getpid(), number)
        finished = True
    assert finished


def test_without_a_signal_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in signals.ENDING]
    with signals.held_back():
        pass
    assert [signal.getsignal(number) for number in signals.ENDING] == before
