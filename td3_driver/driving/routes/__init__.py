# SPDX-License-Identifier: Apache-2.0
"""Lanes and routes: road map, routing, position on a route, and map matching."""
