# SPDX-License-Identifier: Apache-2.0
"""Checkpoints looked into, taken over from other programs, and handed on as ONNX."""
