# SPDX-License-Identifier: Apache-2.0
"""Runs a function of `clients/` with a client: `PORT MODULE FUNCTION [ARGUMENT...]`."""

import importlib
import os
import sys

DONE = "the client's part is done"


def main() -> None:
    import carla  # not where the server's side asks for `DONE`

    port, module, function, *arguments = sys.argv[1:]
    client = carla.Client("127.0.0.1", int(port))
    client.set_timeout(60.0)
    getattr(importlib.import_module(f"test.carla_server.clients.{module}"), function)(
        client, *arguments
    )
    print(f"\n{DONE}", flush=True)
    os._exit(0)  # else now and then threads of the wheel outlive what they stand on: SIGSEGV


if __name__ == "__main__":
    main()
