# SPDX-License-Identifier: Apache-2.0
"""Recorded drives gone through again: what a policy would do, what can be learned of them."""
