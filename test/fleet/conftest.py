# SPDX-License-Identifier: Apache-2.0
"""Ray reads its switches when it is imported, so they are set before any test is."""

from td3_driver.fleet.cluster import prepare

prepare(None)
