# SPDX-License-Identifier: Apache-2.0
"""The learner process: its loop, its messages, its client, and the weights it publishes."""
