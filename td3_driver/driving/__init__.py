# SPDX-License-Identifier: Apache-2.0
"""What driving means: observation, route, reward, episode, safety. No ROS, no torch."""
