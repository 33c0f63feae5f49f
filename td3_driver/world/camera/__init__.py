# SPDX-License-Identifier: Apache-2.0
"""What the camera sees: light, scenery, drawing. No ROS."""
