# SPDX-License-Identifier: Apache-2.0
"""`td3_driver fleet`: many worlds drive, one learner learns, on Ray."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from td3_driver.arguments import (
    Commands,
    absolute,
    add_difficulty,
    add_maps,
    add_run,
    add_surroundings,
    check_run,
    claimed_folder,
    no_such_preset,
    not_negative_number,
    positive,
    surroundings,
    usage_error,
)

if TYPE_CHECKING:
    from td3_driver.configuration import Configuration
    from td3_driver.fleet.bridges import Bridge

DEFAULT_STEPS, DEFAULT_SAVE_FREQ = 20_000, 2000
DEFAULT_WORLDS = 2
# A collector waits for the learner where that is behind; its bridge has to bear it.
ANSWER_WITHIN_S, LEARNER_TIMEOUT_S = 0.8, 60.0
STARTUP_TIMEOUT_S, WORLD_TIMEOUT_S = 120.0, 30.0
# Of a node's replay, which is learned from elsewhere: half of it lasts 400 s at 20 Hz while the
# learner is away.
_NODE_ROWS = 16_384


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
    add(
        "--worlds",
        type=positive,
        metavar="N",
        help=f"worlds at once; default: {DEFAULT_WORLDS}, with --bridges one for each",
    )
    add(
        "--world",
        choices=("embedded", "ros"),
        default="embedded",
        help="embedded: each collector steps a world in its own process; ros: it is a driver_node"
        " behind one of the --bridges",
    )
    add(
        "--bridges",
        type=Path,
        metavar="FILE.yaml",
        help="with --world ros: the bridges, by ROS domain, and what starts them",
    )
    add(
        "--address",
        metavar="auto|HOST:PORT",
        help="Ray cluster to run on; without it one of its own on this machine",
    )
    add(
        "--learner-gpus",
        type=not_negative_number,
        default=0.0,
        metavar="N",
        help="GPUs for the learner; with any it computes there",
    )
    add(
        "--utd",
        type=not_negative_number,
        metavar="RATIO",
        help="updates per environment step of the whole fleet; default: the preset's",
    )
    add_run(parser, steps=DEFAULT_STEPS, save_freq=DEFAULT_SAVE_FREQ)
    add_maps(parser)
    add_difficulty(parser)
    add_surroundings(parser, appearance="mixed")
    parser.set_defaults(execute=_fleet)


def _fleet(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor Ray.
    from td3_driver.configuration import load_configuration
    from td3_driver.fleet.cluster import knock, prepare
    from td3_driver.online.run_folder import point_newest, record
    from td3_driver.world.roads.generation import roads_of
    from td3_driver.world.simulation import WorldConfig

    if code := no_such_preset(args):
        return code
    prepare(args.address)
    from td3_driver.fleet.collector import CollectorSpec, noise_scales
    from td3_driver.fleet.evaluations import Where
    from td3_driver.fleet.learner import FleetSpec
    from td3_driver.fleet.ros_collector import RosCollectorSpec
    from td3_driver.fleet.run import FleetOptions, run

    check_run(args)
    configuration = load_configuration(args.preset, args.config)
    if args.utd is not None:
        agent = replace(configuration.agent, updates_per_step=args.utd)
        configuration = replace(configuration, agent=agent)
    maps = tuple(absolute(args.map))
    roads_of(maps, args.seed, args.difficulty)  # a map's error is said before anything starts
    bridges = _bridges(args)
    if isinstance(bridges, str):
        return usage_error(args, bridges)
    worlds = len(bridges) or args.worlds or DEFAULT_WORLDS
    view, around = configuration.driving.view, surroundings(args)
    world = WorldConfig(seed=args.seed, **around).through(view)
    # The policy is judged in the plain light.
    judged_in = replace(world, appearance=WorldConfig.appearance)
    settings = {
        "preset": args.preset,
        "config": str(args.config.resolve()) if args.config else "",
        "seed": args.seed,
        "worlds": worlds,
        "driving": configuration.driving.to_mapping(),
    }
    if args.address is not None:
        knock(args.address)
    folder = claimed_folder(args, ":".join(args.map) or args.difficulty)
    record(folder, {"fleet": settings | around})
    if note := point_newest(folder.path):
        print(note, file=sys.stderr)
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
    scales = noise_scales(worlds)
    collectors: tuple[CollectorSpec | RosCollectorSpec, ...] = tuple(
        CollectorSpec(number, configuration, world, maps, args.difficulty, scale)
        for number, scale in enumerate(scales)
    )
    if bridges:
        config = _collectors_config(configuration, folder.path)
        collectors = tuple(
            RosCollectorSpec(
                number,
                bridge,
                folder.path / f"collector_{number}",
                {
                    "preset": args.preset,
                    "config_file": str(config),
                    "overwrite": True,
                    "exploration": scale,
                    "role_name": bridge.role_name,
                    "camera": bridge.camera,
                    "stepping": bridge.stepping,
                    "answer_within_s": ANSWER_WITHIN_S,
                    "learner_timeout_s": LEARNER_TIMEOUT_S,
                    "startup_timeout_s": STARTUP_TIMEOUT_S,
                    "world_timeout_s": WORLD_TIMEOUT_S,
                },
                args.seed,
            )
            for number, (bridge, scale) in enumerate(zip(bridges, scales, strict=True))
        )
    return run(
        FleetOptions(
            learner,
            collectors,
            folder,
            args.address,
            args.learner_gpus,
            Where(maps, args.difficulty, judged_in),
        )
    )


def _bridges(args: argparse.Namespace) -> tuple[Bridge, ...] | str:
    """Return the bridges of `--world ros`, none for the embedded, or what is wrong."""
    from td3_driver.fleet.bridges import read_bridges

    if args.world == "embedded":
        return () if args.bridges is None else f"--bridges {args.bridges}: needs --world ros"
    if args.bridges is None:
        return "--world ros: needs --bridges, the file that names them"
    found = read_bridges(args.bridges)
    if args.worlds not in (None, len(found)):
        return f"--worlds {args.worlds}: --bridges {args.bridges} names {len(found)}"
    return found


def _collectors_config(configuration: Configuration, folder: Path) -> Path:
    """Write the settings for the nodes."""
    import yaml

    settings = configuration.to_mapping()
    agent = settings["agent"]
    agent["updates_per_step"] = 1.0  # so often it is asked whether there is a block
    agent["replay_capacity"] = min(agent["replay_capacity"], _NODE_ROWS)
    path = folder / "collectors.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
