# SPDX-License-Identifier: Apache-2.0
"""A driver that answers each picture at once, another command each time, and looks no further."""

import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl, CarlaEgoVehicleStatus
from sensor_msgs.msg import Image

from td3_driver.driving.messages.decoding import stamp_ns

from .ear import ROLE, TICK_NS

LATE_IN_A_ROW = 3


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("naive_driver")
    commands = node.create_publisher(CarlaEgoVehicleControl, f"{ROLE}/vehicle_control_cmd", 10)
    sent: dict[int, float] = {}
    late = 0

    def on_image(image: Image) -> None:
        tick = round(stamp_ns(image.header.stamp) / TICK_NS)
        command = CarlaEgoVehicleControl(brake=1.0, steer=tick % 100 / 100.0)
        command.header.stamp = image.header.stamp
        sent[tick] = command.steer
        commands.publish(command)

    def on_status(status: CarlaEgoVehicleStatus) -> None:
        nonlocal late
        before = sent.get(round(stamp_ns(status.header.stamp) / TICK_NS) - 1)
        late = late + 1 if before is not None and before != status.control.steer else 0
        if late == LATE_IN_A_ROW:
            print("a frame late", flush=True)

    node.create_subscription(CarlaEgoVehicleStatus, f"{ROLE}/vehicle_status", on_status, 10)
    node.create_subscription(Image, f"{ROLE}/rgb_front/image", on_image, 10)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
