# SPDX-License-Identifier: Apache-2.0
"""The ground: its picture, lane paint, height, and the crossing of lane markings. No ROS."""
