# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: learn to drive in the embedded world."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from td3_driver.arguments import (
    Commands,
    add_difficulty,
    add_surroundings,
    not_negative,
    positive,
    share,
    usage_error,
    world_parameters,
)

if TYPE_CHECKING:
    from td3_driver.online.run_folder import RunFolder

DEFAULT_STEPS = 10_000
LAST_DOMAIN = 232  # that UDP has ports for
# The embedded world can wait longer than the bridge's second, so that a busy machine does not
# decide what is learned.
PATIENCE_S = 10.0


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `train`."""
    parser = commands.add_parser(
        "train",
        help="learn to drive in the embedded world",
        description="Start the embedded world and the driver, learn, write checkpoints.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--steps",
        type=positive,
        default=DEFAULT_STEPS,
        metavar="N",
        help="environment steps (0.05 s each) in total; resumed ones count",
    )
    add(
        "--save-freq",
        type=positive,
        default=1000,
        metavar="N",
        help="environment steps between checkpoints td3_<step>.pth",
    )
    add(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="folder of the run; without it that of --resume, else a new one,"
        " runs/<when>_<map or difficulty>_<preset>_s<seed>, to which runs/latest leads",
    )
    add("--overwrite", action="store_true", help="delete another run that --checkpoint-dir holds")
    add(
        "--save-replay",
        action="store_true",
        help="save the replay too, so that --resume goes on bit for bit (7.2 kB a step)",
    )
    add("--resume", type=Path, metavar="FILE", help="checkpoint to go on from")
    add(
        "--prefill",
        type=Path,
        metavar="FILE",
        help="demonstrations to learn from too, made by td3_driver prefill",
    )
    add(
        "--prefill-share",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="share of demonstrations in each batch, 0.01 to 0.99",
    )
    add("--record", type=Path, metavar="DIR", help="record the drive into a new bag (MCAP)")
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of everything random")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where the learner computes")
    add(
        "--map",
        type=Path,
        metavar="FILE.xodr",
        help="OpenDRIVE road network; without it roads are generated from the seed",
    )
    add_difficulty(parser)
    # A policy that knows one light only fails in the next; evaluation keeps to the plain one.
    add_surroundings(parser, appearance="mixed")
    add(
        "--preset",
        default="default",
        metavar="NAME",
        help="networks, learning and reward: a file of config/presets",
    )
    add(
        "--stepping",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="lockstep: as fast as learning allows, repeats bit for bit; realtime: 20 Hz",
    )
    add(
        "--domain",
        type=_domain,
        metavar="N|auto",
        help="ROS domain of the run; auto: one that nobody on this machine uses; default:"
        " ROS_DOMAIN_ID, or 0",
    )
    add("--config", type=Path, metavar="FILE", help="YAML file laid over the preset")
    parser.set_defaults(execute=_train)


def _domain(text: str) -> str:
    if text != "auto" and not (text.isdigit() and int(text) <= LAST_DOMAIN):
        raise argparse.ArgumentTypeError(f"{text}: expected auto or 0 to {LAST_DOMAIN}")
    return text


def _train(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither ROS nor shapely.
    from td3_driver.configuration import load_configuration
    from td3_driver.online.run_folder import record
    from td3_driver.ros.recorder_node import recorder_parameters
    from td3_driver.ros.train.domains import claim
    from td3_driver.ros.train.train import TrainOptions, train
    from td3_driver.share import preset_names

    if args.preset not in preset_names():
        return usage_error(
            args, f"--preset {args.preset}: choose from {', '.join(preset_names())}"
        )
    if args.domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(claim()) if args.domain == "auto" else args.domain
        print(f"ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']}", file=sys.stderr)
    load_configuration(args.preset, args.config)
    if args.resume is not None and not args.resume.is_file():
        raise FileNotFoundError(f"--resume {args.resume}: no such file")
    if args.prefill is not None and not args.prefill.is_file():
        raise FileNotFoundError(f"--prefill {args.prefill}: no such file")
    world = {
        **world_parameters(args),
        "control_patience_s": PATIENCE_S,
        # A moment in which nothing ran must not shift the rest of a run by one tick.
        "ignore_late_commands": True,
    }
    recorder = None if args.record is None else recorder_parameters(args.record.resolve())
    run = _folder(args)  # last, when nothing else is wrong
    record(run, {"world": world})
    driver = {
        "steps": args.steps,
        "save_freq": args.save_freq,
        "checkpoint_dir": str(run.path),
        "resume": str(args.resume.resolve()) if args.resume else "",
        "prefill": str(args.prefill.resolve()) if args.prefill else "",
        "prefill_share": args.prefill_share,
        "seed": args.seed,
        "device": args.device,
        "preset": args.preset,
        "config_file": str(args.config.resolve()) if args.config else "",
        "stepping": args.stepping,
        "save_replay": args.save_replay,
        "answer_within_s": 0.8 * PATIENCE_S,
        # A frame may be long in coming on a busy machine; a world that ended is noticed at once.
        "world_timeout_s": 3.0 * PATIENCE_S,
    }
    evaluator = ["--folder", str(run.path), "--run", run.name, "--difficulty", args.difficulty]
    evaluator += ["--traffic", str(args.traffic), "--pedestrians", str(args.pedestrians)]
    if args.scenery:
        evaluator.append("--scenery")
    if args.map is not None:
        evaluator += ["--map", str(args.map.resolve())]
    if args.resume is not None:
        evaluator.append("--resume")
    return train(TrainOptions(driver, world, evaluator, args.steps, run, recorder))


def _folder(args: argparse.Namespace) -> RunFolder:
    """Claim the folder of the run."""
    from td3_driver.online.run_folder import Wording, claim, new_folder

    if args.checkpoint_dir is not None:
        folder = args.checkpoint_dir.resolve()
    elif args.resume is not None:
        folder = args.resume.resolve().parent
    else:
        place = args.difficulty if args.map is None else str(args.map)
        folder = new_folder(place, args.preset, args.seed)
    words = Wording("--checkpoint-dir", "--resume", "--overwrite")
    return claim(folder, args.resume, words, overwrite=args.overwrite)
