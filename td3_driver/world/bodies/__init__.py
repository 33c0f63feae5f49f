# SPDX-License-Identifier: Apache-2.0
"""Solids and how they move: the car, boxes, contact. No ROS."""
