# SPDX-License-Identifier: Apache-2.0
"""`td3_driver world`: the embedded world alone."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from td3_driver import signals
from td3_driver.arguments import (
    DIFFICULTIES,
    Commands,
    add_difficulty,
    add_maps,
    add_surroundings,
    not_negative,
    port,
    positive,
    usage_error,
    world_parameters,
)

FILM_PX = (320, 240)
# Those of evaluation/film.py, which takes seconds to import.
FILM_SUFFIXES = (".mp4", ".webp", ".gif")


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `world`."""
    parser = commands.add_parser(
        "world",
        help="run the embedded world alone, for a driver started elsewhere",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add_maps(parser)
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of roads and textures")
    add_difficulty(parser)
    add_surroundings(parser)
    add(
        "--stepping",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="lockstep: wait for a command each tick, up to 1 s; realtime: 20 Hz",
    )
    instead_of_ros = parser.add_mutually_exclusive_group().add_argument
    instead_of_ros(
        "--view",
        type=Path,
        metavar="FILE",
        help="write a film (.mp4, .webp or .gif) of the world driven by pure pursuit, and end",
    )
    instead_of_ros(
        "--carla-port",
        type=port,
        metavar="PORT",
        help="serve CARLA's clients, as a CARLA 0.9.16 server, instead of ROS 2: calls at this"
        " port, streams at the next; clients decide on stepping and weather",
    )
    add("--seconds", type=positive, default=20, metavar="N", help="of the film")
    parser.set_defaults(execute=_world)


def _world(args: argparse.Namespace) -> int:
    if args.view is not None and args.view.suffix not in FILM_SUFFIXES:
        return usage_error(args, f"--view {args.view}: expected {', '.join(FILM_SUFFIXES)}")
    if args.view is not None:
        return _film(args)
    if args.carla_port is not None:
        return _carla(args)
    from td3_driver.bridge_twin import world_node

    _say_notes(args)
    world_node.main(world_parameters(args))
    return 0


def _carla(args: argparse.Namespace) -> int:
    # Until it serves there is nothing to end but the process, as in `start.py`.
    signals.handle(lambda *_: os._exit(0))
    from td3_driver.carla_server.command import serve
    from td3_driver.carla_server.episode import Surroundings
    from td3_driver.world.roads.generation import roads_of

    town = roads_of(args.map, args.seed, args.difficulty)
    print(*town.notes, sep="\n", end="\n" * bool(town.notes), file=sys.stderr)
    files = [Path(name) for name in args.map if name not in DIFFICULTIES]
    folder = files[0].resolve().parent if files else None
    others = Surroundings(args.seed, args.traffic, args.pedestrians, args.scenery)
    return serve(town, folder, args.carla_port, others)


def _film(args: argparse.Namespace) -> int:
    from td3_driver.bridge_twin.world_parameters import WorldParameters, car_of, simulation_of
    from td3_driver.evaluation import film
    from td3_driver.online.folder import prepare_folder

    width, height = FILM_PX
    _say_notes(args)
    prepare_folder(args.view.resolve().parent, "--view")
    usual = WorldParameters(image_width=width, image_height=height)
    given = replace(usual, **world_parameters(args))
    world = simulation_of(given, car_of(given))
    step_s = given.fixed_delta_seconds
    count = round(args.seconds / step_s)
    film.write(film.pictures(world, args.seed), count, step_s, args.view)
    print(f"{args.view}: {args.seconds} s, {args.view.stat().st_size / 1e6:.1f} MB")
    return 0


def _say_notes(args: argparse.Namespace) -> None:
    """Print which parts of the map were left out."""
    from td3_driver.world.roads.generation import roads_of

    if args.map:
        for note in roads_of(args.map, args.seed, args.difficulty).notes:
            print(note, file=sys.stderr)
