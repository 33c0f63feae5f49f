# SPDX-License-Identifier: Apache-2.0
"""The parts of `driver_node`, which answers each frame with one command."""
