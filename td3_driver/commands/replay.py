# SPDX-License-Identifier: Apache-2.0
"""`td3_driver replay`: what a policy would have done in a recorded drive."""

from __future__ import annotations

import argparse
from pathlib import Path

from td3_driver.arguments import (
    CHECKPOINT_HELP,
    Commands,
    add_bag_topics,
    checkpoint_or_newest,
    not_negative_number,
)


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `replay`."""
    parser = commands.add_parser(
        "replay",
        help="ask a policy what it would have done in a recorded drive",
        description="Run the frames of a recording (SQLite, MCAP, ROS 1) through a policy, open"
        " loop and without ROS, and write DIR/metrics.json and DIR/report.html (SI units, actions"
        " in [-1, 1]).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag file")
    add("--checkpoint", type=Path, metavar="FILE", help=CHECKPOINT_HELP)
    add("--out", type=Path, default=Path("replay"), metavar="DIR", help="folder to write to")
    add_bag_topics(parser)
    add(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="metrics.json to compare with; exit 1 where this is worse",
    )
    add(
        "--max-regression",
        type=not_negative_number,
        default=0.1,
        metavar="SHARE",
        help="how much larger than in the baseline an error may be, as a share",
    )
    parser.set_defaults(execute=_replay)


def _replay(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor shapely.
    from td3_driver.driving.messages.synchronisation import Sync
    from td3_driver.playback.command import Options, execute
    from td3_driver.playback.recording import ReadOptions

    options = Options(
        bag=args.bag,
        checkpoint=checkpoint_or_newest(args),
        out=args.out,
        reading=ReadOptions(
            args.image, args.odometry, args.control, Sync(args.sync, args.tolerance)
        ),
        baseline=args.baseline,
        max_regression=args.max_regression,
    )
    return execute(options)
