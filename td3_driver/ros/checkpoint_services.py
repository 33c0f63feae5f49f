# SPDX-License-Identifier: Apache-2.0
"""`/save_checkpoint` and `/load_checkpoint`: answered when the file stands, driving goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_srvs.srv import Trigger

from td3_driver.agent.messages import Event, Loaded, Refused, Saved
from td3_driver.online.session import Session
from td3_driver.ros.wires import Wires


class CheckpointServices:
    """The two services.

    Args:
        wires: makes them.
        session: does the work.
        path: gives the file to use, None for the usual one.
    """

    def __init__(self, wires: Wires, session: Session, path: Callable[[], Path | None]) -> None:
        self._session = session
        self._path = path
        group = ReentrantCallbackGroup()  # a waiting answer must not keep others out
        wires.serve(Trigger, "/save_checkpoint", self._save, group)
        wires.serve(Trigger, "/load_checkpoint", self._load, group)

    async def _save(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        answer: Future = Future()
        self._session.save(self._path(), answer.set_result)
        return _told(response, await answer)

    async def _load(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        answer: Future = Future()
        self._session.load(self._path(), answer.set_result)
        return _told(response, await answer)


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
