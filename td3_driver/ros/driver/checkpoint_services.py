# SPDX-License-Identifier: Apache-2.0
"""`/save_checkpoint` and `/load_checkpoint`: answered when it is done, while driving goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_srvs.srv import Trigger

from td3_driver.learner.client import Then
from td3_driver.learner.messages import Event, Loaded, Refused, Saved
from td3_driver.learner.reach import ReachError, check_name
from td3_driver.online.session import Session
from td3_driver.ros.wires import Wires

# Each waiting save holds a copy of the agent, tens of megabytes.
MOST_WAITING = 8


class CheckpointServices:
    """The services that save and load checkpoints.

    Args:
        wires: makes the services.
        session: does the work, on the file in the node's `checkpoint_path`.
    """

    def __init__(self, wires: Wires, session: Session) -> None:
        self._node, self._session = wires.node, session
        self._waiting = 0
        group = ReentrantCallbackGroup()  # a waiting request must not block others
        wires.serve(Trigger, "/save_checkpoint", self._save, group)
        wires.serve(Trigger, "/load_checkpoint", self._load, group)

    async def _save(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return _told(response, await self._asked(self._session.save))

    async def _load(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return _told(response, await self._asked(self._session.load))

    async def _asked(self, work: Callable[[Path | None, Then], None]) -> Event:
        """Ask the learner and wait for its answer; only the learner accesses the disk."""
        if self._waiting >= MOST_WAITING:
            return Refused(f"{self._waiting} requests are waiting for their answers already")
        given = str(self._node.get_parameter("checkpoint_path").value)
        try:
            check_name(given)
        except ReachError as error:
            return Refused(f"parameter checkpoint_path: {error}")
        answer: Future = Future()
        self._waiting += 1
        try:
            work(Path(given) if given else None, answer.set_result)
            event: Event = await answer
        finally:
            self._waiting -= 1
        return event


def _told(response: Trigger.Response, event: Event) -> Trigger.Response:
    match event:
        case Saved() | Loaded():
            response.success = True
            response.message = f"{event.path} step {event.env_steps}"
            if isinstance(event, Loaded):
                response.message += f"; {event.settings}"
        case Refused():
            response.message = event.reason
    return response
