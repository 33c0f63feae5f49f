# SPDX-License-Identifier: Apache-2.0
"""The other road users: vehicles, pedestrians, right of way. No ROS."""
