# SPDX-License-Identifier: Apache-2.0
"""Inspects checkpoints, converts those of other programs, and exports actors as ONNX."""
