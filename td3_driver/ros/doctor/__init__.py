# SPDX-License-Identifier: Apache-2.0
"""`td3_driver doctor`: checks of the live graph."""
