# SPDX-License-Identifier: Apache-2.0
"""`driver_node` as a fleet's collector: `driver_node.py ADDRESS RUN NUMBER --ros-args ...`."""

from __future__ import annotations

import sys

from td3_driver.fleet.relay import Relay
from td3_driver.ros.driver.node import drive


def main() -> None:
    """Entry point of the process."""
    address, run, number = sys.argv[1:4]
    del sys.argv[1:4]
    drive(Relay(address, run, int(number)))


if __name__ == "__main__":
    main()
