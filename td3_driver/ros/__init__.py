# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 side: nodes, messages, parameters. It connects, and computes nothing."""
