# SPDX-License-Identifier: Apache-2.0
"""The replay buffer: in shared memory, and beside a checkpoint as a file."""
