# SPDX-License-Identifier: Apache-2.0
"""Runs a function of `clients/` with a client: `PORT MODULE FUNCTION [ARGUMENT...]`."""

import importlib
import sys

import carla


def main() -> None:
    port, module, function, *arguments = sys.argv[1:]
    client = carla.Client("127.0.0.1", int(port))
    client.set_timeout(60.0)
    getattr(importlib.import_module(f"test.carla_server.clients.{module}"), function)(
        client, *arguments
    )


if __name__ == "__main__":
    main()
