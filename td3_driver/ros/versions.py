# SPDX-License-Identifier: Apache-2.0
"""The one thing in which the rclpy of Humble (3.3) differs for us from Jazzy's and Kilted's.

Everything else here uses what they all have (`test/data/rclpy_3_3` is what Humble's has). When a
message was published, rclpy tells a callback that takes two arguments; Humble's executor takes
that out of DDS too, and drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.subscription import Subscription

TELLS_MESSAGE_INFO = hasattr(Subscription, "CallbackType")
SENT_NS = "source_timestamp"  # in the info: the wall clock at which its publisher sent it, ns

MessageInfo = dict[str, int]


def with_info(callback: Callable[[Any, MessageInfo], None]) -> Callable[..., None]:
    """What to subscribe with, to be called with a message and the info that has `SENT_NS`."""
    return callback if TELLS_MESSAGE_INFO else _WithInfo(callback)


def new_executor(context: Context | None = None) -> SingleThreadedExecutor:
    """An executor that can serve `with_info`; without a context, in the default one."""
    made = SingleThreadedExecutor if TELLS_MESSAGE_INFO else HumbleExecutor
    return made(context=context)


class _WithInfo:
    """As the name of a type: `HumbleExecutor` knows by it whom to give the info as well."""

    def __init__(self, callback: Callable[[Any, MessageInfo], None]) -> None:
        self._callback = callback

    def __call__(self, taken: tuple[Any, MessageInfo]) -> None:
        self._callback(*taken)


class HumbleExecutor(SingleThreadedExecutor):
    """Humble's, which also tells when a message was published. It uses what is private in 3.3."""

    def _take_subscription(self, subscription: Subscription) -> Any:
        """What the callback is to be called with, or None."""
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None or isinstance(subscription.callback, _WithInfo):
            return taken
        return taken[0]
