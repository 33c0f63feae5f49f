# SPDX-License-Identifier: Apache-2.0
"""The bridge's messages to plain values and back, whichever classes they come in. No ROS."""
