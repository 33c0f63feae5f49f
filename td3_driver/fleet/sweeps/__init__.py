# SPDX-License-Identifier: Apache-2.0
"""Many short runs of learning compared: each a trial in one process, together a sweep."""
