# SPDX-License-Identifier: Apache-2.0
"""`driver_node`: one command for each frame, and all that it is made of."""
