# SPDX-License-Identifier: Apache-2.0
"""Conversion of the bridge's messages, of any classes, to plain values and back. No ROS."""
