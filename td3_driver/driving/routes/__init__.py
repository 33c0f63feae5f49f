# SPDX-License-Identifier: Apache-2.0
"""Lanes and routes: a road map, the way along it, and which way was driven."""
