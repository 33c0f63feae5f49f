# SPDX-License-Identifier: Apache-2.0
"""Many worlds and one learner, on Ray."""
