# SPDX-License-Identifier: Apache-2.0
"""The roads as ground: their picture, paint, height, and which markings are crossed. No ROS."""
