# SPDX-License-Identifier: Apache-2.0
"""What can be spawned: CARLA 0.9.16's blueprint library."""
