# SPDX-License-Identifier: Apache-2.0
"""Who else is on the road: vehicles, walkers, right of way. No ROS."""
