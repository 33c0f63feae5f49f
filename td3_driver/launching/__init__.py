# SPDX-License-Identifier: Apache-2.0
"""The parts of the launch files: checked arguments, and processes that end together."""
