# SPDX-License-Identifier: Apache-2.0
"""The commands of `td3_driver`, a module each: its arguments, and the function it calls."""
