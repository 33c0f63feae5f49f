# SPDX-License-Identifier: Apache-2.0
"""The camera: drawing of ground and solids, light and weather, scenery. No ROS."""
