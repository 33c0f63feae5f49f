# SPDX-License-Identifier: Apache-2.0
"""Learning while driving: joins `driving` and `agent`. No ROS."""
