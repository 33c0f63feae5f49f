# SPDX-License-Identifier: Apache-2.0
"""The learner process: its loop, what is said to it, its client, the weights it hands back."""
