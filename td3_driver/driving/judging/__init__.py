# SPDX-License-Identifier: Apache-2.0
"""Infractions of the rules of the road, and the rule sets that say what they end and cost."""
