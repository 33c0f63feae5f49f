# SPDX-License-Identifier: Apache-2.0
"""The settings of the agent's networks and learning, as one checked value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Parse = Callable[[object], object]


def _setting(default: object, allowed: str, parse: Parse) -> Any:
    """Declare a field with the values it allows; `parse` raises ValueError for others."""
    return field(default=default, metadata={"allowed": allowed, "parse": parse})


def _as_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _as_integer(value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(value)
    return value


def _as_range(value: object) -> tuple[float, ...]:
    low, high = (_as_number(item) for item in _as_sequence(value))
    if low >= high:
        raise ValueError(value)
    return low, high


def _as_sequence(value: object) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return tuple(value)


def _fixed(setting: Any) -> Any:
    """Mark a field that must agree with a checkpoint: it sets the shape or meaning of weights."""
    return field(default=setting.default, metadata={**setting.metadata, "fixed": True})


def _number(
    default: float, low: float = -math.inf, high: float = math.inf, *, above: bool = False
) -> Any:
    """Declare a field for a finite number in [low, high], or in (low, high] if `above`."""

    def parse(value: object) -> float:
        number = _as_number(value)
        if not low <= number <= high or (above and number == low):
            raise ValueError(value)
        return number

    if low == -math.inf:
        allowed = "a finite number"
    elif high == math.inf:
        allowed = f"a number {'>' if above else '>='} {low:g}"
    else:
        allowed = f"a number in {'(' if above else '['}{low:g}, {high:g}]"
    return _setting(default, allowed, parse)


def _integer(default: int, low: int) -> Any:
    return _setting(default, f"an integer >= {low}", lambda value: _as_integer(value, low))


def _flag(default: bool) -> Any:
    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(value)
        return value

    return _setting(default, "true or false", parse)


def _choice(default: str, *options: str) -> Any:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError(value)
        return value

    return _setting(default, " or ".join(f'"{option}"' for option in options), parse)


def _numbers() -> Any:
    def parse(value: object) -> tuple[float, ...]:
        return tuple(_as_number(item) for item in _as_sequence(value))

    return _setting((), "a list of finite numbers, or an empty list", parse)


def _sizes(default: tuple[int, ...]) -> Any:
    def parse(value: object) -> tuple[int, ...]:
        sizes = tuple(_as_integer(item, 1) for item in _as_sequence(value))
        if not sizes:
            raise ValueError(value)
        return sizes

    return _setting(default, "a non-empty list of integers >= 1", parse)


def _convolutions(default: tuple[tuple[int, int, int], ...]) -> Any:
    def parse(value: object) -> tuple[tuple[int, int, int], ...]:
        layers = []
        for layer in _as_sequence(value):
            channels, kernel, stride = (_as_integer(item, 1) for item in _as_sequence(layer))
            layers.append((channels, kernel, stride))
        if not layers:
            raise ValueError(value)
        return tuple(layers)

    allowed = "a non-empty list of [out_channels, kernel, stride], integers >= 1"
    return _setting(default, allowed, parse)


def _plain(value: object) -> object:
    """Turn tuples into lists, which YAML and `torch.load(weights_only=True)` read alike."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


# Than the format of checkpoints.
_NEWER = (
    "algorithm",
    "privileged",
    "advised",
    "imitation_weight",
    "precision",
    "critic_atoms",
    "critic_range",
)


@dataclass(frozen=True)
class AgentConfig:
    """Settings of algorithm, networks and learning; defaults are the origin system's numbers.

    Every value is checked when the object is made, however it is made; lists become tuples.

    Additions to the 2018 paper are off by default, and off in the preset `origin`:

    - trunk "layernorm_tanh", orthogonal_init: features that stay bounded, for pixels (DrQ-v2,
      Yarats et al. 2021).
    - critic_layernorm: keeps the critic from extrapolating (RLPD, Ball et al. 2023).
    - n_step: returns over several steps (DrQ-v2, MR.Q: 3).
    - random_shift: image augmentation (DrQ, Kostrikov et al. 2020; DrQ-v2: 4 pixels).
    - exploration_sigma_final, exploration_decay_steps: noise that shrinks (DrQ-v2: 1 to 0.1).
    - updates_per_step other than 1: more, or fewer, updates per step (RLPD, REDQ: up to
      20; they need critic_layernorm or ensembles).
    - smoothness_penalty: penalises actions that change within n_step steps. CAPS (Mysore et al.
      2021) compares with the next step's action and sends gradients through both; here it is the
      target's action n_step later, which the critic's update computes anyway, without a gradient.
    - gradient_clip, pre_tanh_penalty: keep a policy learning online from saturating.

    Raises:
        ValueError: One line naming the key, the value and what is allowed.
    """

    # Fixed for an agent's life: a checkpoint must agree with them.
    algorithm: str = _fixed(_choice("td3", "td3", "sac"))

    # Networks, fixed likewise.
    conv_layers: tuple[tuple[int, int, int], ...] = _fixed(
        _convolutions(((32, 8, 4), (64, 4, 2), (64, 3, 1)))
    )
    cnn_features: int = _fixed(_integer(512, 1))
    trunk: str = _fixed(_choice("relu", "relu", "layernorm_tanh"))
    hidden_sizes: tuple[int, ...] = _fixed(_sizes((256, 256)))
    critic_layernorm: bool = _fixed(_flag(False))
    # TD3's critics: 0 is one number; else a distribution over so many values of `critic_range`.
    critic_atoms: int = _fixed(_integer(0, 0))
    critic_range: tuple[float, ...] = _fixed(
        _setting((-50.0, 100.0), "two numbers, the smaller one first", _as_range)
    )
    # Numbers after the vector that only the critic sees, while learning.
    privileged: int = _fixed(_integer(0, 0))
    # Factor on each vector input, then on each privileged one; () is all ones.
    vector_scale: tuple[float, ...] = _fixed(_numbers())
    image_channels: int = _fixed(_integer(4, 1))  # of a stack of frames, oldest first
    image_size: int = _fixed(_integer(84, 1))  # pixels, both sides

    # Initial weights.
    orthogonal_init: bool = _flag(False)
    actor_output_scale: float = _number(1.0, 0.0)  # factor on the actor's last weights
    action_bias: tuple[float, ...] = _numbers()  # actor's initial pre-tanh output; () is zero

    # TD3 (Fujimoto et al. 2018); SAC (Haarnoja et al. 2018) has no use for noise and its clip.
    learning_rate: float = _number(3e-4, 0.0, above=True)
    discount: float = _number(0.99, 0.0, 1.0)
    tau: float = _number(0.005, 0.0, 1.0, above=True)
    policy_noise: float = _number(0.2, 0.0)  # standard deviation, in units of the action
    noise_clip: float = _number(0.5, 0.0)  # in units of the action
    policy_freq: int = _integer(2, 1)  # critic updates per actor update
    batch_size: int = _integer(256, 1)

    # How CNNs compute while learning; "auto": bf16 on a CPU that is fast at it.
    precision: str = _choice("float32", "float32", "bf16", "auto")

    # Additions to both, all off by default.
    n_step: int = _integer(1, 1)
    gradient_clip: float = _number(0.0, 0.0)  # largest gradient norm of a network; 0 is off
    pre_tanh_penalty: float = _number(0.0, 0.0)  # on mean(pre_tanh^2), keeps tanh alive
    smoothness_penalty: float = _number(0.0, 0.0)  # on mean((pi(s_t) - pi'(s_t+n))^2)
    # On the mean square distance to advised actions, else to shown ones that the critic finds
    # better.
    imitation_weight: float = _number(0.0, 0.0)
    advised: bool = _flag(False)  # the last privileged numbers are the advised action
    random_shift: int = _integer(0, 0)  # pixels, +-; 0 is off (DrQ, Kostrikov et al. 2020)

    # Experience.
    replay_capacity: int = _integer(100_000, 16)  # rows, one frame each
    learning_starts: int = _integer(1000, 0)  # transitions, from which on there are updates
    updates_per_step: float = _number(1.0, 0.0)

    # Exploration; sigma is a fraction of max_action, for SAC of the policy's standard deviation.
    exploration: str = _choice("gaussian", "gaussian", "ou")
    exploration_sigma: float = _number(0.1, 0.0)
    exploration_sigma_final: float = _number(0.1, 0.0)
    exploration_decay_steps: int = _integer(1, 1)  # environment steps, linear
    ou_theta: float = _number(0.15, 0.0, 1.0, above=True)  # pull to zero, per step
    warmup_sigma_factor: float = _number(1.0, 0.0)  # while env_steps < learning_starts

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            try:
                object.__setattr__(self, item.name, item.metadata["parse"](value))
            except ValueError:
                allowed = item.metadata["allowed"]
                raise ValueError(f"{item.name}: {value!r} is not {allowed}") from None
        if self.conv_output_side() < 1:
            raise ValueError(
                f"conv_layers: {_plain(self.conv_layers)} leaves nothing of an image of"
                f" image_size {self.image_size}; use smaller kernels or strides, or larger images"
            )
        if self.critic_atoms == 1 or (self.critic_atoms and self.algorithm != "td3"):
            raise ValueError(
                f"critic_atoms: {self.critic_atoms} is not 0 or, with algorithm td3, at least 2"
            )
        if self.random_shift >= self.image_size:
            raise ValueError(
                f"random_shift: {self.random_shift} is not an integer < image_size"
                f" ({self.image_size})"
            )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> AgentConfig:
        """Build from plain data, as in YAML or a checkpoint; absent keys keep their defaults.

        Raises:
            ValueError: For an unknown key, a wrong type or a value out of range, in one line.
        """
        known = [item.name for item in fields(cls)]
        for key in mapping:
            if key not in known:
                raise ValueError(
                    f"{key}: {mapping[key]!r} is set, but there is no such agent setting;"
                    f" the settings are {', '.join(known)}"
                )
        return cls(**mapping)

    def to_mapping(self) -> dict[str, Any]:
        """The settings as str, bool, int, float and list only; `from_mapping` reads it back.

        What is newer than the format is left out at its default, so that versions that do not
        know it can read the files.
        """
        settings = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        for name in _NEWER:
            if settings[name] == _plain(getattr(AgentConfig, name)):
                del settings[name]
        return settings

    def conv_output_side(self) -> int:
        """Side of the last convolution's output in pixels (<= 0 if none fits)."""
        side = self.image_size
        for _, kernel, stride in self.conv_layers:
            side = (side - kernel) // stride + 1 if side >= kernel else 0
        return side


ARCHITECTURE = tuple(item.name for item in fields(AgentConfig) if "fixed" in item.metadata)
"""Settings that a network's output depends on; the others may differ from a checkpoint's."""
