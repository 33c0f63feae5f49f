# SPDX-License-Identifier: Apache-2.0
"""td3_driver: a driving agent that learns online, inside ROS 2."""
