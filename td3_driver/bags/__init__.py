# SPDX-License-Identifier: Apache-2.0
"""Rosbag2 recordings, read and written without ROS."""
