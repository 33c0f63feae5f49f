# SPDX-License-Identifier: Apache-2.0
from typing import Any

from rclpy.clock import Clock
from rclpy.logging import LoggingSeverity

class RcutilsLogger:
    name: str
    def get_child(self, name: str) -> RcutilsLogger: ...
    def set_level(self, level: LoggingSeverity) -> None: ...
    def get_effective_level(self) -> LoggingSeverity: ...
    def is_enabled_for(self, severity: LoggingSeverity) -> bool: ...
    # Of each: **kwargs, of which the filters take these.
    def debug(
        self,
        message: str,
        *,
        once: bool = ...,
        throttle_duration_sec: float = ...,
        throttle_time_source_type: Clock = ...,
        skip_first: bool = ...,
    ) -> Any: ...
    def info(
        self,
        message: str,
        *,
        once: bool = ...,
        throttle_duration_sec: float = ...,
        throttle_time_source_type: Clock = ...,
        skip_first: bool = ...,
    ) -> Any: ...
    def warning(
        self,
        message: str,
        *,
        once: bool = ...,
        throttle_duration_sec: float = ...,
        throttle_time_source_type: Clock = ...,
        skip_first: bool = ...,
    ) -> Any: ...
    def error(
        self,
        message: str,
        *,
        once: bool = ...,
        throttle_duration_sec: float = ...,
        throttle_time_source_type: Clock = ...,
        skip_first: bool = ...,
    ) -> Any: ...
    def fatal(
        self,
        message: str,
        *,
        once: bool = ...,
        throttle_duration_sec: float = ...,
        throttle_time_source_type: Clock = ...,
        skip_first: bool = ...,
    ) -> Any: ...
