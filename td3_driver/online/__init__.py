# SPDX-License-Identifier: Apache-2.0
"""Learning while driving: where `driving` and `agent` meet. No ROS."""
