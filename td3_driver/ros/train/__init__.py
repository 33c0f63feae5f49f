# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: its processes, and what they show."""
