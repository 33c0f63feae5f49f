# SPDX-License-Identifier: Apache-2.0
"""`world_node`: the embedded world with the topics and services of the CARLA bridge."""
