# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of other programs, read without unpickling, made into ours."""
