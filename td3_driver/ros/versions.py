# SPDX-License-Identifier: Apache-2.0
"""The only difference for us between rclpy of Humble (3.3) and of Jazzy and Kilted.

Everything else here uses what they all have (`test/data/rclpy_3_3` lists Humble's). rclpy passes
the time of publication to a callback with two arguments; Humble's executor also takes it from DDS,
but drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.subscription import Subscription

TELLS_MESSAGE_INFO = hasattr(Subscription, "CallbackType")
SENT_NS = "source_timestamp"  # key of the info: wall clock of publication, ns

MessageInfo = dict[str, int]


def with_info(callback: Callable[[Any, MessageInfo], None]) -> Callable[..., None]:
    """Wrap a callback of a message and its info with `SENT_NS`, for a subscription."""
    return callback if TELLS_MESSAGE_INFO else _WithInfo(callback)


def new_executor(context: Context | None = None) -> SingleThreadedExecutor:
    """Create an executor that serves `with_info`; without a context, in the default one."""
    made = SingleThreadedExecutor if TELLS_MESSAGE_INFO else HumbleExecutor
    return made(context=context)


class _WithInfo:
    """A callback that also takes the info; `HumbleExecutor` knows it by this type."""

    def __init__(self, callback: Callable[[Any, MessageInfo], None]) -> None:
        self._callback = callback

    def __call__(self, taken: tuple[Any, MessageInfo]) -> None:
        self._callback(*taken)


class HumbleExecutor(SingleThreadedExecutor):
    """Humble's executor, which also passes on the publication time. It uses 3.3's private API."""

    def _take_subscription(self, subscription: Subscription) -> Any:
        """Return the arguments for the callback, or None."""
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None or isinstance(subscription.callback, _WithInfo):
            return taken
        return taken[0]
