# SPDX-License-Identifier: Apache-2.0
"""td3_driver: learning to drive online, inside ROS 2."""
