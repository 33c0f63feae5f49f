# SPDX-License-Identifier: Apache-2.0
from typing import Any

class Service:
    srv_type: Any
    srv_name: str
    def destroy(self) -> None: ...
