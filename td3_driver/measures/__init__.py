# SPDX-License-Identifier: Apache-2.0
"""Measures of drives, from a process or over topics: standard, traces, numbers, summaries."""
