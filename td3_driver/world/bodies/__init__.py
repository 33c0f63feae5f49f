# SPDX-License-Identifier: Apache-2.0
"""The car, other bodies, their shapes and contact. No ROS."""
