# SPDX-License-Identifier: Apache-2.0
"""What sensors send in a tick, each kind in CARLA's own form."""
