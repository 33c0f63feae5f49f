# SPDX-License-Identifier: Apache-2.0
"""A run without ROS: the world in this process, the learner in its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import Configuration, load_configuration
from td3_driver.driving.road_users import NOBODY
from td3_driver.driving.roles import Command
from td3_driver.driving.types import NO_LIGHTS
from td3_driver.learner.messages import Event, Loaded, Refused, Saved, Trained
from td3_driver.learner.reach import Reach
from td3_driver.online.run import Run, RunConfig
from td3_driver.online.session import (
    AUTOSAVE_STEPS,
    REALTIME_DEBT,
    REALTIME_OUTSTANDING,
    SessionConfig,
)
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig

from ..towns import STREETS, town_of

DEFAULT = load_configuration("default")
SMALL = replace(
    DEFAULT.agent,
    conv_layers=((4, 8, 4), (4, 4, 2), (4, 4, 2)),
    cnn_features=8,
    hidden_sizes=(16, 16),
    batch_size=8,
    learning_starts=10,
    updates_per_step=0.5,
    replay_capacity=500,
)
CONFIGURATION = Configuration(SMALL, DEFAULT.driving)


class Driving:
    """A run, and the world that it drives in."""

    def __init__(
        self,
        folder: Path,
        *,
        resume: Path | None = None,
        configuration: Configuration = CONFIGURATION,
        **given: Any,
    ) -> None:
        settings = {"steps": 0, "save_freq": 0, "lockstep": True, **given}
        session = SessionConfig(
            checkpoint_dir=folder,
            reach=Reach(folder),
            run=None,
            settings=configuration.to_mapping(),
            **settings,
        )
        self.run = Run(
            RunConfig(configuration, session, resume, 3, "cpu", 1, 0, 0), on_event=lambda: None
        )
        self.session, self.learner = self.run.session, self.run.learner
        self.world = Simulation(
            WorldConfig(cameras=(CameraConfig(width_px=32, height_px=24),)), town_of(STREETS)
        )
        self.run.driver.set_map(self.world.road_map)
        self._ready = False

    def begin(self) -> None:
        """Until there is an agent."""
        self.wait_for(lambda: self._ready)

    def hear(self) -> None:
        """What the learner says, handled as `driver_node` does."""
        while (event := self.learner.poll()) is not None:
            match event:
                case Trained():
                    self.session.trained(event)
                case Loaded():
                    self.session.take_over(event)
                    self._ready = self.run.greeted(event)
                case Saved():
                    self.session.saved(event)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < end_s, "the learner does not answer"
            self.hear()
            time.sleep(0.002)

    def frame(self) -> None:
        """One tick: the command in force, and what is seen then."""
        self.execute(self.session.decide())

    def execute(self, command: Command) -> None:
        """The tick of a command."""
        if command.place is not None:
            self.world.reset_pose(command.place)
        if command.halt:
            self.world.set_target_velocity(0.0)
        tick = self.world.step(command.control)
        if tick.collisions:
            self.run.driver.collided(tick.stamp_ns)
        self.session.observe(tick.image, tick.ego, None, NOBODY, NO_LIGHTS)

    def steps(self, until: int) -> None:
        """Frames, each answered with all that is owed, to so many steps."""
        while self.session.env_steps < until:
            self.frame()
            self.wait_for(lambda: self.session.may_decide)

    def settle(self) -> None:
        """Until the learner owes nothing."""
        self.wait_for(lambda: self.learner.idle)


Begin = Callable[..., Driving]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Driving] = []

    def start(**given: Any) -> Driving:
        driving = Driving(tmp_path, **given)
        begun.append(driving)
        driving.begin()
        return driving

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield start
    torch.set_num_threads(threads)
    for driving in begun:
        driving.learner.stop(within_s=0.0)


def saved(file: Path) -> dict[str, Any]:
    return {**checkpoint.read(file), "provenance": None}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# Half an update a step; one, so that with a save one is owed, which moves the actor or does not.
RATIOS = pytest.mark.parametrize(("starts", "ratio"), [(10, 0.5), (10, 1.0), (11, 1.0)])


@RATIOS
def test_what_is_due_is_done_at_its_step_and_resumed_bit_for_bit(
    begin: Begin, tmp_path: Path, starts: int, ratio: float
) -> None:
    agent = replace(SMALL, learning_starts=starts, updates_per_step=ratio)
    told = {"save_replay": True, "configuration": replace(CONFIGURATION, agent=agent)}
    whole = begin(steps=50, save_freq=20, **told)
    whole.steps(9)
    assert whole.learner.total_it == 0  # before `learning_starts`
    whole.steps(50)
    # The last step's are not made any more: no command comes from them.
    assert whole.learner.total_it in {int(ratio * (steps - starts + 1)) for steps in (49, 50)}
    assert whole.session.finished
    whole.settle()
    assert whole.session.unsaved == ""
    files = {file.name for file in tmp_path.glob("*.pth")}
    assert files == {"td3_20.pth", "td3_40.pth", "td3_50.pth", "latest.pth"}
    assert [saved(tmp_path / f"td3_{step}.pth")["env_steps"] for step in (20, 40, 50)] == [
        20, 40, 50,
    ]  # fmt: skip
    expected = saved(tmp_path / "td3_50.pth")
    (tmp_path / "td3_50.pth").unlink()
    again = begin(steps=50, save_freq=0, resume=tmp_path / "td3_20.pth", **told)
    assert again.session.env_steps == 20
    again.steps(50)
    again.settle()
    found = saved(tmp_path / "td3_50.pth")
    # But for the replay's segments: one of 30 rows, not two.
    own = {"replay"}
    assert {key for key in expected if not same(expected[key], found[key])} <= own
    counts = ("first", "rows", "transitions")
    assert [expected["replay"][name] for name in counts] == [
        found["replay"][name] for name in counts
    ]


@pytest.mark.parametrize("before_the_command", [True, False])
@RATIOS
def test_a_save_that_is_asked_for_while_updates_run_is_resumed_bit_for_bit(
    begin: Begin, tmp_path: Path, starts: int, ratio: float, before_the_command: bool
) -> None:
    """The command in force is from the weights before those that the file holds.

    Asked for while a frame waits for its command, the file waits, too.
    """
    agent = replace(SMALL, learning_starts=starts, updates_per_step=ratio)
    told = {"save_replay": True, "configuration": replace(CONFIGURATION, agent=agent)}
    whole = begin(steps=50, **told)
    whole.steps(29)
    while whole.session.env_steps == 29:
        whole.frame()
    waits = False
    if before_the_command:
        whole.session.save(tmp_path / "asked.pth")
        waits = whole.session.saves_wait
        whole.wait_for(lambda: whole.session.may_decide)
    command = whole.session.decide()
    if not before_the_command:
        whole.session.save(tmp_path / "asked.pth")
    tick = whole.world.step(command.control)
    whole.wait_for(lambda: whole.session.may_decide)
    whole.session.observe(tick.image, tick.ego, None, NOBODY, NO_LIGHTS)
    whole.steps(50)
    whole.settle()
    asked = saved(tmp_path / "asked.pth")
    assert asked["env_steps"] == 30
    assert asked["run"]["driver"].get("decided", False) == (waits or not before_the_command)
    expected = saved(tmp_path / "td3_50.pth")
    (tmp_path / "td3_50.pth").unlink()
    again = begin(steps=50, resume=tmp_path / "asked.pth", **told)
    assert again.session.env_steps == 30
    again.steps(50)
    again.settle()
    found = saved(tmp_path / "td3_50.pth")
    assert {key for key in expected if not same(expected[key], found[key])} <= {"replay"}


def test_updates_are_asked_for_with_their_frame(begin: Begin) -> None:
    """So that they run while the world goes on; the next frame's command waits for them."""
    driving = begin()
    driving.steps(30)
    driving.settle()
    made = driving.learner.total_it
    while not driving.learner.outstanding:  # half an update a step
        driving.frame()
    assert driving.session.may_decide  # by the updates of the frame before
    command = driving.session.decide()
    assert driving.session.may_decide == (driving.learner.outstanding == 0)
    driving.settle()
    assert driving.learner.total_it == made + 1
    driving.execute(command)
    assert driving.learner.outstanding == 0


def test_commands_do_not_depend_on_how_fast_the_learner_is(begin: Begin, tmp_path: Path) -> None:
    """Where it has done what was asked for with a frame that still waits, that comes too early."""
    agent = replace(SMALL, learning_starts=10, updates_per_step=1.0)
    told = {"configuration": replace(CONFIGURATION, agent=agent)}
    usual = begin(steps=60, **told)
    usual.steps(60)
    usual.settle()
    expected = saved(tmp_path / "td3_60.pth")
    (tmp_path / "td3_60.pth").unlink()
    late = begin(steps=60, **told)
    while late.session.env_steps < 60:
        late.frame()
        late.settle()
    found = saved(tmp_path / "td3_60.pth")
    assert [key for key in expected if not same(expected[key], found[key])] == []


def test_a_fleets_learner_gets_every_step(begin: Begin) -> None:
    """It knows itself when learning starts: a world alone may never have driven that far."""
    waits = replace(SMALL, learning_starts=400, updates_per_step=1.0)
    driving = begin(saves=False, configuration=Configuration(waits, DEFAULT.driving))
    driving.steps(8)
    driving.settle()
    assert driving.learner.total_it >= 7


def test_latest_is_renewed_between_checkpoints(begin: Begin, tmp_path: Path) -> None:
    driving = begin()
    driving.session.updating = False
    driving.steps(AUTOSAVE_STEPS)
    driving.settle()
    assert driving.learner.total_it == 0
    assert saved(tmp_path / "latest.pth")["env_steps"] == AUTOSAVE_STEPS
    assert not list(tmp_path.glob("td3_*"))


def test_a_save_that_was_due_and_failed_is_remembered(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "td3_12.pth").mkdir()
    driving = begin(save_freq=12)
    driving.steps(12)
    driving.settle()
    assert "td3_12.pth" in driving.session.unsaved
    driving.steps(24)
    driving.settle()
    assert driving.session.unsaved == ""
    assert driving.session.last_checkpoint == tmp_path / "td3_24.pth"


def test_an_agent_that_only_drives_changes_nothing(begin: Begin, tmp_path: Path) -> None:
    learned = begin(steps=12)
    learned.steps(12)
    learned.settle()
    before = {file: file.read_bytes() for file in tmp_path.glob("*.pth")}
    driving = begin(learning=False, episodes=2, resume=tmp_path / "td3_12.pth")
    while not driving.session.finished:
        driving.frame()
        driving.wait_for(lambda: driving.session.may_decide)
    answers: list[Event] = []
    driving.session.save(then=answers.append)
    assert [type(answer) for answer in answers] == [Refused]
    assert driving.learner.total_it == learned.learner.total_it
    assert {file: file.read_bytes() for file in tmp_path.glob("*.pth")} == before


def test_in_real_time_a_learner_that_is_slow_is_not_told_to_make_up_for_it(begin: Begin) -> None:
    driving = begin(lockstep=False)
    waiting = []
    while driving.session.env_steps < 60:
        driving.frame()  # without a look at what the learner says
        assert driving.session.may_decide
        waiting.append(driving.learner.outstanding)
    assert max(waiting) == REALTIME_OUTSTANDING
    driving.settle()
    before = driving.learner.total_it
    assert before == REALTIME_OUTSTANDING  # one each: half an update was owed a step
    driving.steps(driving.session.env_steps + 1)
    driving.settle()
    assert driving.learner.total_it - before <= REALTIME_DEBT
