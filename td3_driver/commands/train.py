# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train`: learn to drive, in the embedded world or in CARLA."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from td3_driver.arguments import (
    DIFFICULTIES,
    Commands,
    absolute,
    add_difficulty,
    add_maps,
    add_routes,
    add_run,
    add_surroundings,
    check_run,
    claimed_folder,
    no_such_preset,
    port,
    surroundings,
    usage_error,
    world_parameters,
)
from td3_driver.ros.train.domains import LAST_DOMAIN

if TYPE_CHECKING:
    from td3_driver.driving.view import ViewConfig
    from td3_driver.online.run_folder import RunFolder
    from td3_driver.ros.train.carla import CarlaOptions

DEFAULT_STEPS = 10_000
# The embedded world can wait longer than the bridge's second, so that a busy machine does not
# decide what is learned.
PATIENCE_S = 10.0
DEFAULT_HOST, DEFAULT_PORT, DEFAULT_TOWN = "localhost", 2000, "Town01"
# Of config/ego_vehicle.json, which is what is spawned in CARLA.
ROLE_NAME = "ego_vehicle"
# As in config/td3_driver.yaml: the simulator may take long over a frame.
WORLD_TIMEOUT_S = 10.0


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `train`."""
    parser = commands.add_parser(
        "train",
        help="learn to drive, in the embedded world or in CARLA",
        description="Start the world and the driver, learn, write checkpoints.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add_run(parser, steps=DEFAULT_STEPS, save_freq=1000)
    add("--record", type=Path, metavar="DIR", help="record the drive into a new bag (MCAP)")
    add(
        "--world",
        choices=("embedded", "carla"),
        default="embedded",
        help="carla: through CARLA's ROS bridge, which must be installed; where no server listens"
        " on this machine, the embedded world is started as one",
    )
    add("--host", default=DEFAULT_HOST, help="with --world carla: of the server")
    add(
        "--port",
        type=port,
        default=DEFAULT_PORT,
        metavar="N",
        help="with --world carla: of the server; the next one is its streams'",
    )
    add(
        "--town",
        metavar="NAME",
        help="with --world carla: town to load; without it --map, else that of a server started"
        f" here, else {DEFAULT_TOWN}",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where the learner computes")
    add_maps(parser)
    add_routes(parser, "drawn at random")
    add_difficulty(parser)
    # A policy that knows one light only fails in the next; evaluation keeps to the plain one.
    add_surroundings(parser, appearance="mixed")
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
    add(
        "--blind",
        action="store_true",
        help="see black pictures: the twin that shows what the preset's pictures are worth",
    )
    parser.set_defaults(execute=_train)


def _domain(text: str) -> str:
    if text != "auto" and not (text.isdigit() and int(text) <= LAST_DOMAIN):
        raise argparse.ArgumentTypeError(f"{text}: expected auto or 0 to {LAST_DOMAIN}")
    return text


def _train(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need no ROS. The nodes wait for what is imported
    # before they start, so below comes what only some options need.
    from td3_driver.configuration import load_configuration
    from td3_driver.online.run_folder import record
    from td3_driver.ros.train.carla import CarlaOptions
    from td3_driver.ros.train.domains import claim
    from td3_driver.ros.train.train import TrainOptions, train

    if code := no_such_preset(args):
        return code
    if args.domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(claim()) if args.domain == "auto" else args.domain
        print(f"ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']}", file=sys.stderr)
    configuration = load_configuration(args.preset, args.config, blind=args.blind)
    view = configuration.driving.view
    check_run(args)
    if args.routes is not None and not args.map and args.world == "embedded":
        return usage_error(args, "--routes: needs --map, the OpenDRIVE file of their town")
    if args.routes is not None:
        _check_routes(args)
    if args.world == "embedded":
        usual = {"host": DEFAULT_HOST, "port": DEFAULT_PORT, "town": None}
        for option, value in usual.items():
            if (given := getattr(args, option)) != value:
                return usage_error(args, f"--{option} {given}: needs --world carla")
    if args.world == "carla":
        world: Mapping[str, object] | CarlaOptions = _carla(args)
        timing = {"world_timeout_s": WORLD_TIMEOUT_S, "startup_timeout_s": 0.0}
    else:
        world = {
            **world_parameters(args),
            "fov": view.fov_deg,
            "control_patience_s": PATIENCE_S,
            # A moment in which nothing ran must not shift the rest of a run by one tick.
            "ignore_late_commands": True,
        }
        # A frame may be long in coming on a busy machine; a world that ended is noticed at once.
        timing = {"answer_within_s": 0.8 * PATIENCE_S, "world_timeout_s": 3.0 * PATIENCE_S}
    recorder = None
    if args.record is not None:
        from td3_driver.ros.recorder_node import recorder_parameters

        recorder = recorder_parameters(args.record.resolve(), [each.id for each in view.cameras])
    place = ":".join(args.map) or args.difficulty
    if isinstance(world, CarlaOptions):
        place = world.town
    run = claimed_folder(args, place)  # last, when nothing else is wrong
    if isinstance(world, CarlaOptions):
        world = replace(world, objects_file=_written_car(view, run))
    elif view.cameras:
        from td3_driver.world.camera.camera import CameraConfig

        size_px = CameraConfig.width_px, CameraConfig.height_px  # as `evaluate`'s
        file = _written_car(view, run, size_px)
        world = {**world, "objects_definition_file": str(file), "camera": view.cameras[0].id}
    record(run, {"world": world.record() if isinstance(world, CarlaOptions) else world})
    driver = {
        "steps": args.steps,
        "save_freq": args.save_freq,
        "checkpoint_dir": str(run.path),
        "resume": str(args.resume.resolve()) if args.resume else "",
        "prefill": str(args.prefill.resolve()) if args.prefill else "",
        "prefill_share": args.prefill_share,
        "routes": str(args.routes.resolve()) if args.routes else "",
        "seed": args.seed,
        "device": args.device,
        "preset": args.preset,
        "config_file": str(args.config.resolve()) if args.config else "",
        "blind": args.blind,
        "stepping": args.stepping,
        **({"camera": view.cameras[0].id} if view.cameras else {}),
        "save_replay": args.save_replay,
        **timing,
    }
    # Only the embedded world can be driven a second time, beside the run.
    elsewhere = isinstance(world, CarlaOptions) and world.server is None
    evaluator = None if elsewhere else _evaluator(args, run)
    return train(TrainOptions(driver, world, evaluator, args.steps, run, recorder))


def _check_routes(args: argparse.Namespace) -> None:
    """Check a route file, on its map if that is given; the driver does it on CARLA's.

    Raises:
        ValueError, OSError: it cannot be driven.
    """
    from td3_driver.driving.routes.route_files import plan_routes, read_route_file
    from td3_driver.world.roads.generation import roads_of

    file = read_route_file(args.routes)
    if args.map:
        plan_routes(file, roads_of(args.map, args.seed, args.difficulty))


def _carla(args: argparse.Namespace) -> CarlaOptions:
    """Find the bridge and the server, or decide to start one.

    Raises:
        CarlaError: one of the two is missing.
        ValueError: an option cannot be used with a server that runs.
    """
    from td3_driver.ros.train.carla import LOCAL, CarlaError, CarlaOptions, find_bridge, listens
    from td3_driver.world.roads.generation import roads_of

    bridge = find_bridge()
    where = f"--host {args.host} --port {args.port}"
    found = listens(args.host, args.port)
    if not found and args.host not in LOCAL:
        raise CarlaError(f"{where}: no CARLA server there; start one, or leave out --host")
    world_parameters(args)  # checks the map
    server = None
    if found:
        if len(args.map) > 1:
            raise CarlaError(
                f"--map: {len(args.map)} maps; a server that runs, as at {where}, has one"
            )
        if args.map and args.map[0] in DIFFICULTIES:
            raise CarlaError(
                f"--map {args.map[0]}: of a world started here, but at {where} a server runs"
            )
        town = str(Path(args.map[0]).resolve()) if args.map else DEFAULT_TOWN
        usual = {"difficulty": DIFFICULTIES[0], "traffic": 0, "pedestrians": 0, "scenery": False}
        for option, value in usual.items():
            if getattr(args, option) != value:
                raise CarlaError(
                    f"--{option}: of a world that is started here, but at {where} a server runs"
                )
    else:
        server = [sys.executable, "-m", "td3_driver.cli", "world", "--carla-port", str(args.port)]
        server += ["--seed", str(args.seed), *_world_words(args)]
        town = roads_of(args.map, args.seed, args.difficulty).name
    return CarlaOptions(
        bridge=bridge,
        host=args.host,
        port=args.port,
        server=server,
        town=args.town or town,
        role_name=ROLE_NAME,
        objects_file=_car(),
        lockstep=args.stepping == "lockstep",
    )


def _written_car(
    view: ViewConfig, run: RunFolder, size_px: tuple[int, int] | None = None
) -> Path:
    from td3_driver.bridge_twin.objects_file import write_car

    return write_car(_car(), view, run.path, size_px)


def _car() -> Path:
    from td3_driver.share import share_directory

    return share_directory() / "config" / "ego_vehicle.json"


def _evaluator(args: argparse.Namespace, run: RunFolder) -> list[str]:
    words = ["--folder", str(run.path), "--run", run.name, "--road-seed", str(args.seed)]
    words += _world_words(args)
    return [*words, "--resume"] if args.resume is not None else words


def _world_words(args: argparse.Namespace) -> list[str]:
    """Return the options about the world, for the command line of another process.

    All but its light: the policy is judged in the plain one, and CARLA's weather is CARLA's.
    """
    words = ["--difficulty", args.difficulty]
    for name, value in surroundings(args).items():
        if name != "appearance" and value is not False:
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    if args.map:
        words += ["--map", *absolute(args.map)]
    return words
