# SPDX-License-Identifier: Apache-2.0
from rclpy.context import Context as Context
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.parameter import Parameter as Parameter
from rclpy.signals import SignalHandlerOptions as SignalHandlerOptions
from rclpy.task import Future as Future
from rclpy.utilities import get_default_context as get_default_context
from rclpy.utilities import ok as ok
from rclpy.utilities import try_shutdown as try_shutdown

def init(
    *,
    args: list[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None: ...
def shutdown(
    *, context: Context | None = None, uninstall_handlers: bool | None = None
) -> None: ...
def create_node(
    node_name: str,
    *,
    context: Context | None = None,
    cli_args: list[str] | None = None,
    namespace: str | None = None,
    use_global_arguments: bool = True,
    enable_rosout: bool = True,
    start_parameter_services: bool = True,
    parameter_overrides: list[Parameter] | None = None,
    allow_undeclared_parameters: bool = False,
    automatically_declare_parameters_from_overrides: bool = False,
) -> Node: ...
def spin_once(
    node: Node, *, executor: Executor | None = None, timeout_sec: float | None = None
) -> None: ...
def spin(node: Node, executor: Executor | None = None) -> None: ...
def spin_until_future_complete(
    node: Node,
    future: Future,
    executor: Executor | None = None,
    timeout_sec: float | None = None,
) -> None: ...
