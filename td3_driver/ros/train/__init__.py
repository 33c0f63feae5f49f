# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: its processes, and the display of their progress."""
