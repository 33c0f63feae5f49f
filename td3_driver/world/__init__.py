# SPDX-License-Identifier: Apache-2.0
"""The embedded world, a simulation that turns one command into one tick. No ROS."""
