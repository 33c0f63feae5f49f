# SPDX-License-Identifier: Apache-2.0
"""The policy of a checkpoint, for driving without learning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from td3_driver.agent import algorithm
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import configuration_from, load_configuration
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.spaces import Spaces
from td3_driver.online.meaning import of_policy
from td3_driver.replay.meaning import differences


class Greedy:
    """A checkpoint's policy without noise."""

    def __init__(self, agent: ActorCritic) -> None:
        self.agent = agent

    def begin_episode(self) -> None:
        """Do nothing: there is no state to reset."""

    def act(self, situation: Situation) -> Action:
        """Return the actor's action."""
        seen = situation.observation
        return self.agent.select_action({"image": seen.image, "vector": seen.vector})


@dataclass(frozen=True)
class Trained:
    """A checkpoint's policy and the settings that it learned with.

    Attributes:
        policy: drives greedily.
        driving: the driving settings that it learned with, such as limits and target speed.
        env_steps: environment steps that it learned for.
        note: what the file lacked and what is used instead; "" if nothing.
    """

    policy: Greedy
    driving: DrivingConfig
    env_steps: int
    note: str


def load(path: Path) -> Trained:
    """Read a checkpoint's policy and driving configuration.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged.
        ValueError: its networks are not a driver's, its observations or actions have another
            meaning here, or its settings are unknown.
    """
    payload = checkpoint.read(path)
    agent = algorithm.class_of(payload).from_payload(payload, path)
    run = payload.get("run") or {}
    settings = run.get("settings") or {}
    note = ""
    if "driving" in settings:
        driving = configuration_from({"driving": settings["driving"]}, str(path)).driving
    else:
        driving = load_configuration("default").driving
        note = f"{path}: holds no driving configuration; that of the default preset is used"
    _check_shapes(path, agent, driving.spaces)
    own = of_policy(driving)
    told = {name: value for name, value in (run.get("meaning") or {}).items() if name in own}
    if differ := differences(told, {name: own[name] for name in told}):
        raise ValueError(f"{path}: its networks' numbers mean something else: {'; '.join(differ)}")
    return Trained(Greedy(agent), driving, int(payload["env_steps"]), note)


def _check_shapes(path: Path, agent: ActorCritic, spaces: Spaces) -> None:
    if agent.actor_cnn is None:
        raise ValueError(f"{path}: its actor takes no image; a driver's takes image and vector")
    found = (tuple(agent.actor_cnn.image_shape), agent.actor.vector_dim, agent.action_dim)
    if found != spaces.policy:
        image_shape, vector_dim, action_dim = spaces.policy
        raise ValueError(
            f"{path}: takes image {found[0]} and vector ({found[1]},), gives action ({found[2]},);"
            f" a driver's are {image_shape}, ({vector_dim},) and ({action_dim},)"
        )
