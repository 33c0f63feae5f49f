# SPDX-License-Identifier: Apache-2.0
"""Converts checkpoints of other programs to ours; reads them without unpickling."""
