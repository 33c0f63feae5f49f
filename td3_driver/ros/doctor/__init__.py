# SPDX-License-Identifier: Apache-2.0
"""`td3_driver doctor`: the live graph, looked at and judged."""
