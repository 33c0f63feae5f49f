# SPDX-License-Identifier: Apache-2.0
"""Driving as a task: observation, route, reward, episode, safety. No ROS, no torch."""
