# SPDX-License-Identifier: Apache-2.0
"""Reading and writing rosbag2 recordings without ROS."""
