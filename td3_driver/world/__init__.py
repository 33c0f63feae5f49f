# SPDX-License-Identifier: Apache-2.0
"""The embedded world: one command in, one tick out. No ROS."""
