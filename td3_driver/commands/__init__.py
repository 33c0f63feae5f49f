# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `td3_driver`, a module each: its arguments, and what it runs."""
