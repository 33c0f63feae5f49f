# SPDX-License-Identifier: Apache-2.0
"""`td3_driver doctor`: look at the live graph and say what is wrong with it."""

from __future__ import annotations

import argparse

from td3_driver.arguments import Commands, positive


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `doctor`."""
    parser = commands.add_parser(
        "doctor",
        help="look at the live ROS graph and say what is missing or mismatched",
        description="Listen to the bridge and the driver for a while and check topics, types, "
        "quality of service, rates, the map, and that each frame gets one command. "
        "Publishes nothing. Exit code 1 if a check fails.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--role-name", default="ego_vehicle", metavar="NAME", help="CARLA role name of the car")
    add("--camera", default="rgb_front", metavar="ID", help="id of the front camera")
    add("--control-id", default="control", metavar="ID", help="id of actor.pseudo.control")
    add("--seconds", type=positive, default=5, metavar="N", help="how long to listen, s")
    parser.set_defaults(execute=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from td3_driver.ros.doctor.doctor import doctor
    from td3_driver.ros.names import EgoTopics

    return doctor(EgoTopics(args.role_name, args.camera, args.control_id), args.seconds)
