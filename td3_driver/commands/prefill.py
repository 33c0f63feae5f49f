# SPDX-License-Identifier: Apache-2.0
"""`td3_driver prefill`: recorded drives as demonstrations to learn from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from td3_driver.arguments import Commands, add_bag_topics, no_such_preset

_CUTS = ("gap", "teleport", "collision", "off_road", "wrong_way")


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `prefill`."""
    parser = commands.add_parser(
        "prefill",
        help="turn recorded drives into demonstrations for train --prefill",
        description="Turn recordings (SQLite, MCAP, ROS 1) into transitions, with the rewards"
        " that driving would have had, for `td3_driver train --prefill FILE.replay`.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "bags",
        type=Path,
        nargs="+",
        metavar="BAG",
        help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag file",
    )
    add("--out", type=Path, required=True, metavar="FILE.replay", help="file to write")
    add(
        "--preset",
        default="default",
        metavar="NAME",
        help="reward and limits, as in train",
    )
    add("--config", type=Path, metavar="FILE", help="YAML file laid over the preset")
    add_bag_topics(parser)
    parser.set_defaults(execute=_prefill)


def _prefill(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor shapely.
    from td3_driver.configuration import load_configuration
    from td3_driver.driving.messages.synchronisation import Sync
    from td3_driver.playback.prefill import prefill
    from td3_driver.playback.progress import Progress
    from td3_driver.playback.recording import ReadOptions

    if code := no_such_preset(args):
        return code
    config = load_configuration(args.preset, args.config).driving
    reading = ReadOptions(args.image, args.odometry, args.control, Sync(args.sync, args.tolerance))
    with Progress() as progress:
        done = prefill(args.bags, args.out, config, reading, progress)
    for note in done.notes:
        print(note, file=sys.stderr)
    cuts = ", ".join(f"{done.counts[name]} by {name}" for name in _CUTS if done.counts[name])
    print(
        f"  transitions        {done.transitions}\n"
        f"  episodes           {done.counts['episodes']}{f', cut: {cuts}' if cuts else ''}\n"
        f"  mean reward        {done.mean_reward:.3f}\n"
        f"  {args.out}"
    )
    return 0
