# SPDX-License-Identifier: Apache-2.0
"""NoCrash and CoRL2017 over given routes, in the embedded world, beside the papers' numbers."""
