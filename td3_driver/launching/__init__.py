# SPDX-License-Identifier: Apache-2.0
"""What the launch files are made of: their arguments, checked, and processes that end together."""
