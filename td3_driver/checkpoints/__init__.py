# SPDX-License-Identifier: Apache-2.0
"""The checkpoint file: its bytes, written whole or not at all, verified before use."""
