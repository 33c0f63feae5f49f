# SPDX-License-Identifier: Apache-2.0
"""Measures the agent beside its peers: `python -m bench --help`."""
