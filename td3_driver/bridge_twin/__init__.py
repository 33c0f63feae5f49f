# SPDX-License-Identifier: Apache-2.0
"""The embedded world as the CARLA bridge's topics and services: `world_node`."""
