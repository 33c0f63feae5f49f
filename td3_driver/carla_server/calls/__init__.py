# SPDX-License-Identifier: Apache-2.0
"""What clients may call, by subject: every public method of these classes, by its name."""
