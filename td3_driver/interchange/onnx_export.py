# SPDX-License-Identifier: Apache-2.0
"""Exports the actor and its CNN as one ONNX model, with a model card.

The model can be used without this package. Its actions are compared with torch's before it is
written.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from td3_driver.agent import algorithm
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.networks import joined_state
from td3_driver.checkpoints import checkpoint, durable_file
from td3_driver.checkpoints.checkpoint import CheckpointError, one_line

LARGEST_DIFFERENCE = 1e-4  # of an action element; float32 gives about 1e-6
_COMPARISONS = 32
_MORE = ", which `make setup` installs"
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")


class _WithImage(nn.Module):
    """The computation of the model with images: image and vector to action."""

    def __init__(self, agent: ActorCritic) -> None:
        super().__init__()
        self.actor, self.cnn = agent.actor, agent.actor_cnn

    def forward(self, image: Tensor, vector: Tensor) -> Tensor:
        action: Tensor = self.actor(joined_state(self.cnn, image, vector))
        return action


def export(path: str | Path, out: str | Path) -> float:
    """Write a checkpoint's actor as `out`, and a model card as `<out>.md`.

    Inputs are `image` (1, C, H, W) uint8, oldest frame first, where the agent has images, and
    `vector` (1, V) float32; the output is `action` (1, A) float32 in [-max_action, max_action].

    Returns:
        The largest difference between an action of onnxruntime and one of torch.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        CheckpointError: If it is damaged, `out` is no .onnx file, the model would differ from
            torch, or cannot be written, or the packages for it are not installed.
    """
    if Path(out).suffix != ".onnx":  # another name may be another file's
        raise CheckpointError(f"{out}: expected the name of an .onnx file")
    agent = algorithm.load(path)
    model = _model(agent)
    gap = _compare(agent, model)
    if not gap <= LARGEST_DIFFERENCE:
        raise CheckpointError(f"{out}: not written, its actions differ from torch's by {gap:.1e}")
    out = Path(out)
    card = _card(Path(path), agent, model, gap).encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        durable_file.replace(out, lambda file: file.write(model))
        durable_file.replace(out.with_name(f"{out.name}.md"), lambda file: file.write(card))
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written: {one_line(error)}") from error
    return gap


def _inputs(agent: ActorCritic, rng: np.random.Generator) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    if agent.actor_cnn is not None:
        shape = (1, *agent.actor_cnn.image_shape)
        inputs["image"] = rng.integers(0, 256, shape, dtype=np.uint8)
    inputs["vector"] = rng.normal(size=(1, agent.vector_dim)).astype(np.float32)
    return inputs


def _module(agent: ActorCritic) -> nn.Module:
    return (agent.actor if agent.actor_cnn is None else _WithImage(agent)).eval()


def _model(agent: ActorCritic) -> bytes:
    inputs = _inputs(agent, np.random.default_rng(0))
    tensors = tuple(torch.from_numpy(value) for value in inputs.values())
    with _quiet():
        try:
            program = torch.onnx.export(
                _module(agent),
                tensors,
                input_names=[*inputs],
                output_names=["action"],
                dynamo=True,
                verbose=False,
            )
        except ImportError as error:
            raise CheckpointError(f"export: needs onnx and onnxscript{_MORE}: {error}") from None
    assert program is not None
    model: bytes = program.model_proto.SerializeToString()
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what the exporter prints about itself."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _compare(agent: ActorCritic, model: bytes) -> float:
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")  # without type information
    except ImportError as error:
        raise CheckpointError(f"export: needs onnxruntime{_MORE}: {error}") from None
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    module, rng, gap = _module(agent), np.random.default_rng(1), 0.0
    for _ in range(_COMPARISONS):
        inputs = _inputs(agent, rng)
        # A model drops an input of no elements.
        fed = {item.name: inputs[item.name] for item in session.get_inputs()}
        (action,) = session.run(["action"], fed)
        with torch.inference_mode():
            expected = module(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        gap = max(gap, float(np.abs(action - expected).max()))
    return gap


def _card(path: Path, agent: ActorCritic, model: bytes, gap: float) -> str:
    payload = checkpoint.read(path)
    provenance = payload["provenance"]
    origin = "\n".join(
        f"- {key}: {value}" for key, value in provenance.items() if not isinstance(value, list)
    )
    notes = "".join(f"- {note}\n" for note in provenance.get("import_notes", []))
    image = ""
    if agent.actor_cnn is not None:
        shape = ", ".join(map(str, (1, *agent.actor_cnn.image_shape)))
        image = f"- `image`: ({shape}) uint8, {_frames(payload)}\n"
    bound, name = f"{agent.max_action:g}", agent.algorithm.upper()
    return f"""\
# Driving policy, exported from {path.name}

A deterministic {name} actor with its CNN, learned in td3_driver. It maps one observation to one
action and keeps no state.

## Inputs and output

{image}- `vector`: (1, {agent.vector_dim}) float32
- `action`: (1, {agent.action_dim}) float32 in [-{bound}, {bound}]

{_meaning(payload)}
## Training

- {agent.env_steps} environment steps, {agent.episodes} episodes, {agent.total_it} updates
{origin}
{notes}
## Checked

- largest difference to torch over {_COMPARISONS} random observations: {gap:.1e}
- SHA-256 of the model: {hashlib.sha256(model).hexdigest()}

## Limits

The policy is no better than the training above: measure it (`td3_driver evaluate`) before it
drives. What td3_driver does to an action afterwards, its safety limits, is not in the model.
"""


def _frames(payload: Mapping[str, Any]) -> str:
    """The frames of an image, as the checkpoint means them; grey if it does not say."""
    meaning = (payload.get("run") or {}).get("meaning") or {}
    image = str(meaning.get("image", ""))
    colour = "rgb" if " rgb frames " in image else "grey"
    return f"{colour} frames, oldest first{image.partition('oldest first')[2]}"


def _meaning(payload: Mapping[str, Any]) -> str:
    """Lines on the meaning of the model's numbers, from the checkpoint; lists by element."""
    meaning = (payload.get("run") or {}).get("meaning") or {}
    if not meaning:
        return "The checkpoint does not say what its numbers mean.\n"
    rows = []
    for name, value in meaning.items():
        elements = enumerate(value) if isinstance(value, list) else [("", value)]
        rows += [f"| {name}{'' if i == '' else f'[{i}]'} | {text} |\n" for i, text in elements]
    return "| what | meaning |\n|---|---|\n" + "".join(rows)
