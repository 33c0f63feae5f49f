# SPDX-License-Identifier: Apache-2.0
"""Playback of recorded drives: what a policy would do in them, and what it can learn from them."""
