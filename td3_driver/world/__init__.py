# SPDX-License-Identifier: Apache-2.0
"""The embedded world: roads, vehicle, camera, simulation. No ROS outside world_node."""
