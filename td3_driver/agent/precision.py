# SPDX-License-Identifier: Apache-2.0
"""The type in which CNNs compute while learning; weights, losses and driving stay float32."""

from __future__ import annotations

import torch


def of_images(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type of a batch's pixels, in which its CNNs compute; None: the weights' own.

    Args:
        precision: A setting of `AgentConfig`. "auto" is bfloat16 where the CPU multiplies it in
            hardware, else float32: without, it is slower.
        device: The device that learns.
    """
    if precision == "auto":
        precision = "bf16" if device.type == "cpu" and _cpu_has_bf16() else "float32"
    return torch.bfloat16 if precision == "bf16" else None


def _cpu_has_bf16() -> bool:
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
