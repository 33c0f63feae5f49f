# SPDX-License-Identifier: Apache-2.0
"""Files as other programs write them: the original TD3, and the origin system in its eras.

The networks are written here anew, with the layer names of those programs; the files are plain
`torch.save` of state dicts, as theirs are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Actor(nn.Module):
    """Three layers named l1, l2, l3 (the original TD3) or fc1, fc2, fc3 (the origin system)."""

    def __init__(self, state: int, action: int, hidden: int, letter: str) -> None:
        super().__init__()
        sizes = (state, hidden, hidden, action)
        for index in range(3):
            self.add_module(f"{letter}{index + 1}", nn.Linear(sizes[index], sizes[index + 1]))

    def forward(self, state: Tensor) -> Tensor:
        first, second, third = self.children()
        return torch.tanh(third(F.relu(second(F.relu(first(state))))))


class Critic(nn.Module):
    """Both values in one module: l1 to l6."""

    def __init__(self, state: int, action: int, hidden: int) -> None:
        super().__init__()
        sizes = (state + action, hidden, hidden, 1)
        for index in range(6):
            layer = nn.Linear(sizes[index % 3], sizes[index % 3 + 1])
            self.add_module(f"l{index + 1}", layer)

    def forward(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat((state, action), 1)
        layers = list(self.children())
        q1, q2 = (c(F.relu(b(F.relu(a(x))))) for a, b, c in (layers[:3], layers[3:]))
        return q1, q2


class OneValue(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))
        return value


class TwinCritic(nn.Module):
    """The origin system's: Q1 and Q2."""

    def __init__(self, state: int, action: int, hidden: int) -> None:
        super().__init__()
        self.Q1 = OneValue(state + action, hidden)
        self.Q2 = OneValue(state + action, hidden)

    def forward(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat((state, action), 1)
        return self.Q1(x), self.Q2(x)


class OriginCNN(nn.Module):
    """conv1 to conv3 and fc; since November 21 with LayerNorms between."""

    def __init__(self, norms: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 32, 8, 4)
        if norms:
            self.ln1 = nn.LayerNorm([32, 20, 20])
        self.conv2 = nn.Conv2d(32, 64, 4, 2)
        if norms:
            self.ln2 = nn.LayerNorm([64, 9, 9])
        self.conv3 = nn.Conv2d(64, 64, 3, 1)
        if norms:
            self.ln3 = nn.LayerNorm([64, 7, 7])
        self.fc = nn.Linear(3136, 512)
        if norms:
            self.ln4 = nn.LayerNorm(512)

    def forward(self, image: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2, self.conv3):
            image = F.relu(conv(image))
        return F.relu(self.fc(image.flatten(1)))


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def write_four_files(prefix: Path, state: int = 11, action: int = 3) -> tuple[Actor, Critic]:
    """What `TD3.save(filename)` of the original writes, after three updates."""
    torch.manual_seed(0)
    actor, critic = Actor(state, action, 32, "l"), Critic(state, action, 32)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=3e-4)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=3e-4)
    for _ in range(3):
        states = torch.randn(8, state)
        q1, q2 = critic(states, torch.rand(8, action))
        step(critic_optimizer, F.mse_loss(q1, q2 + 1.0))
        step(actor_optimizer, -critic(states, actor(states))[0].mean())
    filename = str(prefix)
    torch.save(critic.state_dict(), filename + "_critic")
    torch.save(critic_optimizer.state_dict(), filename + "_critic_optimizer")
    torch.save(actor.state_dict(), filename + "_actor")
    torch.save(actor_optimizer.state_dict(), filename + "_actor_optimizer")
    return actor, critic


class Origin:
    """The origin system's agent, as far as its checkpoints go, after three updates.

    Args:
        era: A, B, C or D of origin_system.md §8, or "D+" for D with LayerNorms.
        state: Length of its state.
    """

    def __init__(self, era: str, state: int = 535) -> None:
        torch.manual_seed(1)
        self.era, self.state = era, state
        self.actor, self.critic = Actor(state, 2, 32, "fc"), TwinCritic(state, 2, 32)
        self.cnns = [OriginCNN(era == "D+") for _ in range({"A": 0, "B": 1}.get(era, 2))]
        appended = [[*cnn.parameters()] for cnn in self.cnns] if era[0] == "D" else [[], []]
        adam = torch.optim.Adam
        self.actor_optimizer = adam([*self.actor.parameters(), *appended[0]], lr=3e-4)
        self.critic_optimizer = adam([*self.critic.parameters(), *appended[1]], lr=3e-4)
        self.cnn_optimizers = [adam(cnn.parameters(), lr=1e-4) for cnn in self.cnns]
        if era != "A":  # its files are of the untrained agent
            self._train()

    def _train(self) -> None:
        image = torch.rand(2, 4, 84, 84) * 2 - 1
        vector = torch.randn(2, self.state - 512)
        for _ in range(3):
            features = [cnn(image) for cnn in self.cnns]
            states = [torch.cat((each, vector), 1) for each in features]
            loss = self.actor(states[0]).mean() + sum(self.critic(states[-1], torch.ones(2, 2)))
            optimizers = [self.actor_optimizer, self.critic_optimizer]
            if self.era in "BC":
                optimizers += self.cnn_optimizers
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.sum().backward()
            for optimizer in optimizers:
                optimizer.step()

    def checkpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "total_it": 0 if self.era == "A" else 3,
            "actor_state_dict": self.actor.state_dict(),
            "critic_state_dict": self.critic.state_dict(),
            "actor_optimizer_state_dict": self.actor_optimizer.state_dict(),
            "critic_optimizer_state_dict": self.critic_optimizer.state_dict(),
            "config": {"algorithm": {"gamma": 0.99}, "seed": 42},
        }
        if self.era == "A":
            return found
        found["use_dict_buffer"] = True
        if self.era == "B":
            found["cnn_state_dict"] = self.cnns[0].state_dict()
            found["cnn_optimizer_state_dict"] = self.cnn_optimizers[0].state_dict()
            return found
        found |= {"discount": 0.98, "tau": 0.01, "policy_freq": 3, "policy_noise": 0.1}
        found |= {"noise_clip": 0.4, "max_action": 1.0, "state_dim": self.state, "action_dim": 2}
        for name, cnn, optimizer in zip(
            ("actor_cnn", "critic_cnn"), self.cnns, self.cnn_optimizers, strict=True
        ):
            found[f"{name}_state_dict"] = cnn.state_dict()
            own = optimizer.state_dict() if self.era == "C" else None
            found[f"{name}_optimizer_state_dict"] = own
        return found
