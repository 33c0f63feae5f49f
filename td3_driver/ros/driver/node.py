# SPDX-License-Identifier: Apache-2.0
"""The driving node: for each camera frame with its odometry, exactly one control command.

It is a managed node: configure makes the run and loads its checkpoint, activate drives, deactivate
brakes, cleanup frees everything. It makes the first two transitions itself unless `autostart` is
off. While it is not active it publishes no command, so that another may drive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import cv2
import torch
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from td3_driver.learner.client import Serve
from td3_driver.ros.command_line import check
from td3_driver.ros.driver.driver_parameters import DriverParameters, check_paths
from td3_driver.ros.driver.pilot import Pilot
from td3_driver.ros.parameters import declare, read
from td3_driver.ros.process import (
    ForeseenError,
    Stop,
    each_of,
    foreseen,
    log_internal_error,
    run_node,
)

if TYPE_CHECKING:
    from td3_driver.ros.driver.observe_pilot import ObservePilot
    from td3_driver.ros.driver.playback_pilot import PlaybackPilot

    _AnyPilot = Pilot | PlaybackPilot | ObservePilot

LOAD_WITHIN_S = 120.0
PURPOSE = (
    "Drives a car in CARLA, through the CARLA bridge, or in the embedded world of world_node: "
    "answers each camera frame with one control command, learns from it in a process beside it "
    "(TD3), and writes checkpoints; or drives a checkpoint, and learns nothing (mode evaluate), "
    "or only says what it would do (mode replay), or measures another driver (mode observe). "
    "Ctrl-C brakes and saves. A managed node, which configures and activates itself unless "
    "autostart is false."
)
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_Transition = Callable[["DriverNode", LifecycleState], TransitionCallbackReturn]


def _transition(callback: _Transition) -> _Transition:
    """Keep an exception of a transition for `DriverNode.spin`; rclpy would discard it."""

    @wraps(callback)
    def kept(node: DriverNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(node, state)
        except Exception as error:  # noqa: BLE001 - any exception ends the process
            node.failure = error
            return TransitionCallbackReturn.ERROR

    return kept


class DriverNode(LifecycleNode):
    """Lifecycle, parameters and the end of the process; driving itself is `Pilot`'s.

    Args:
        serve: in mode train, what the learner's process does, if it is not to learn there.
    """

    def __init__(self, serve: Serve | None = None) -> None:
        self._serve_learner = serve
        self.failure: Exception | None = None  # raised in a transition
        self._pilot: _AnyPilot | None = None
        self._stop: Stop | None = None
        self._refusal: ForeseenError | None = None
        self._shut_down = False
        self._code = 0  # exit code of the process
        with foreseen():
            super().__init__("td3_driver")
            self._started = declare(self, DriverParameters, self._why_fixed, self._follow)
        self._autostart = self._started.autostart
        self._overwrites = self._started.overwrite

    def spin(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        """Serve until the run is over, has failed, or a signal came; return the exit code.

        After any other exception the car is braked and the agent saved.

        Raises:
            ForeseenError: with `autostart`, the parameters cannot be followed.
        """
        self._stop = stop
        try:
            return self._serve(executor, stop)
        except ForeseenError:
            raise
        except BaseException:  # also SystemExit
            pilot = self._pilot
            if pilot is None:
                raise
            each_of(pilot.brake_at_once, log_internal_error, pilot.save_and_close)
            return 1

    def _serve(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        if self._autostart and not stop.requested:
            self.trigger_configure()
            if self._refusal is not None:
                raise self._refusal
            if self.failure is None:
                self.trigger_activate()
            self._autostart = False  # from now on a manager asks and gets an answer
        while self.failure is None and not self._may_leave(stop):
            executor.spin_once(timeout_sec=0.1)
        if self.failure is not None:
            raise self.failure
        if self._pilot is not None:
            self._pilot.close()
            self._code = self._pilot.exit_code or self._code
        return self._code

    def _may_leave(self, stop: Stop) -> bool:
        if self._pilot is None:
            return stop.requested or self._shut_down
        if stop.requested:
            self._pilot.stop()
        return self._pilot.may_leave

    # The lifecycle.

    @_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the run; if a manager asks, also wait until the agent is ready."""
        try:
            given = replace(read(self, DriverParameters), overwrite=self._overwrites)
            with foreseen():
                check_paths(given, self._started)
            self._pilot = self._made(given)
            self._overwrites = False  # the folder now holds this process's own run
            self._follow(asdict(given))
        except ForeseenError as error:
            self._refusal = error
            if not self._autostart:
                self.get_logger().error(str(error))
            return _FAILURE
        return _SUCCESS if self._autostart else self._wait_for_agent(self._pilot)

    def _made(self, given: DriverParameters) -> _AnyPilot:
        # Imported here: what these report with takes a second, which who learns would wait for.
        if given.mode == "replay":
            from td3_driver.ros.driver.playback_pilot import PlaybackPilot

            return PlaybackPilot(self, given)
        if given.mode == "observe":
            from td3_driver.ros.driver.observe_pilot import ObservePilot

            return ObservePilot(self, given)
        return Pilot(self, given, self._serve_learner if given.mode == "train" else None)

    def _wait_for_agent(self, pilot: _AnyPilot) -> TransitionCallbackReturn:
        give_up_s = time.monotonic() + LOAD_WITHIN_S
        while not pilot.ready and pilot.exit_code is None and time.monotonic() < give_up_s:
            if self._stop is not None and self._stop.requested:
                break
            time.sleep(0.02)
            pilot.hear_learner()
        if pilot.ready:
            return _SUCCESS
        self._free()
        return _FAILURE

    @_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start driving."""
        if self._pilot is not None:
            self._pilot.activate()
        return _SUCCESS

    @_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop driving and brake."""
        if self._pilot is not None:
            self._pilot.deactivate()
        return _SUCCESS

    @_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save `latest.pth` and free everything; if that fails, the exit code says so."""
        self._code = self._free() or self._code
        return _SUCCESS

    @_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake, save, and end the process."""
        self._shut_down = True
        if self._pilot is not None:
            self._pilot.end(0, "shut down")
        return _SUCCESS

    def _free(self) -> int:
        pilot, self._pilot = self._pilot, None
        if pilot is None:
            return 0
        pilot.save_and_close()
        return pilot.exit_code or 0

    # Parameters.

    def _why_fixed(self) -> str:
        if self._pilot is None:
            return ""
        return "fixed while the node is configured; clean it up, or start it anew"

    def _follow(self, given: Mapping[str, Any]) -> None:
        """Apply parameters that may change while the node is configured."""
        if not isinstance(self._pilot, Pilot):
            return
        if "learning" in given:
            self._pilot.session.updating = bool(given["learning"])
        if "exploration" in given:
            self._pilot.session.explore(float(given["exploration"]))


def main() -> None:
    """Entry point of `driver_node`."""
    check("driver_node", PURPOSE, DriverParameters)
    drive()


def drive(serve: Serve | None = None) -> None:
    """Run the node to its end, and exit; see `DriverNode`."""
    # One thread: the world, this node and the learner may share two cores.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    run_node(lambda: DriverNode(serve), lambda node, executor, stop: node.spin(executor, stop))


if __name__ == "__main__":
    main()
