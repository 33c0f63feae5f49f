# SPDX-License-Identifier: Apache-2.0
"""`td3_driver fleet`: many worlds drive, one learner learns, on Ray."""

from __future__ import annotations

import argparse
from dataclasses import replace

from td3_driver.arguments import (
    Commands,
    absolute,
    add_difficulty,
    add_maps,
    add_run,
    add_surroundings,
    check_run,
    claimed_folder,
    positive,
    surroundings,
    usage_error,
)

DEFAULT_STEPS, DEFAULT_SAVE_FREQ = 20_000, 2000
DEFAULT_WORLDS = 2


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `fleet`."""
    parser = commands.add_parser(
        "fleet",
        help="learn from many worlds at once, on a Ray cluster",
        description="Start worlds, each with a driver, and one learner, here or on a Ray"
        " cluster; learn, write checkpoints.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--worlds", type=positive, default=DEFAULT_WORLDS, metavar="N", help="worlds at once")
    add(
        "--address",
        metavar="auto|HOST:PORT",
        help="Ray cluster to run on; without it one of its own on this machine",
    )
    add(
        "--learner-gpus",
        type=_not_negative_number,
        default=0.0,
        metavar="N",
        help="GPUs for the learner; with any it computes there",
    )
    add(
        "--utd",
        type=_not_negative_number,
        metavar="RATIO",
        help="updates per environment step of the whole fleet; default: the preset's",
    )
    add_run(parser, steps=DEFAULT_STEPS, save_freq=DEFAULT_SAVE_FREQ)
    add_maps(parser)
    add_difficulty(parser)
    add_surroundings(parser, appearance="mixed")
    parser.set_defaults(execute=_fleet)


def _not_negative_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 on")
    return number


def _fleet(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor Ray.
    from td3_driver.configuration import load_configuration
    from td3_driver.online.run_folder import point_newest, record
    from td3_driver.share import preset_names
    from td3_driver.world.roads.generation import roads_of
    from td3_driver.world.simulation import WorldConfig

    if args.preset not in preset_names():
        return usage_error(
            args, f"--preset {args.preset}: choose from {', '.join(preset_names())}"
        )
    try:
        from td3_driver.fleet.collector import CollectorSpec, noise_scales
        from td3_driver.fleet.learner import FleetSpec
        from td3_driver.fleet.run import FleetOptions, run
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError("Ray is not installed; install what setup/fleet.txt names") from None

    check_run(args)
    configuration = load_configuration(args.preset, args.config)
    if args.utd is not None:
        agent = replace(configuration.agent, updates_per_step=args.utd)
        configuration = replace(configuration, agent=agent)
    maps = tuple(absolute(args.map))
    roads_of(maps, args.seed, args.difficulty)  # a map's error is said before anything starts
    view, around = configuration.driving.view, surroundings(args)
    world = WorldConfig(seed=args.seed, **around).through(view)
    # The policy is judged in the plain light.
    judged_in = replace(world, appearance=WorldConfig.appearance)
    settings = {
        "preset": args.preset,
        "config": str(args.config.resolve()) if args.config else "",
        "seed": args.seed,
        "worlds": args.worlds,
        "driving": configuration.driving.to_mapping(),
    }
    folder = claimed_folder(args, ":".join(args.map) or args.difficulty)
    record(folder, {"fleet": settings | around})
    point_newest(folder.path)
    learner = FleetSpec(
        configuration=configuration,
        folder=folder.path,
        run=folder.name,
        settings=settings,
        seed=args.seed,
        device="cuda" if args.learner_gpus else "cpu",
        threads=1,
        steps=args.steps,
        save_freq=args.save_freq,
        save_replay=args.save_replay,
        resume=args.resume.resolve() if args.resume else None,
        prefill=args.prefill.resolve() if args.prefill else None,
        prefill_share=args.prefill_share,
    )
    collectors = tuple(
        CollectorSpec(number, configuration, world, maps, args.difficulty, scale)
        for number, scale in enumerate(noise_scales(args.worlds))
    )
    return run(
        FleetOptions(learner, collectors, folder, args.address, args.learner_gpus, judged_in)
    )
