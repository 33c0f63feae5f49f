# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a CARLA 0.9.16 server."""
