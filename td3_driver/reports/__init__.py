# SPDX-License-Identifier: Apache-2.0
"""Reports as HTML pages, and the files of an evaluation."""
