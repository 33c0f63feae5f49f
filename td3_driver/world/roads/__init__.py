# SPDX-License-Identifier: Apache-2.0
"""Generated road networks, written as OpenDRIVE. No ROS."""
