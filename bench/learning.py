# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.learning`: one run of learning to drive, in one process, judged as it goes.

Appends one JSON line for each greedy evaluation on roads that the run never learns from; see
`td3_driver.fleet.sweeps.trial`. Many runs, their table and their curves: `td3_driver sweep`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from td3_driver.fleet.sweeps.trial import Trial
from td3_driver.world.camera.appearance import APPEARANCES


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    add = parser.add_argument
    add("--name", default="default", help="of the run, in its lines")
    add("--preset", default="default")
    add("--config", type=Path, help="YAML laid over the preset")
    add("--seed", type=int, default=0)
    add("--steps", type=int, default=5000)
    add("--every", type=int, default=1000, help="steps between evaluations")
    add("--episodes", type=int, default=4, help="of an evaluation, on each of its maps")
    add("--map", nargs="+", default=(), help="OpenDRIVE files or difficulties to learn on")
    add("--judge-map", action="append", default=[], help="OpenDRIVE file to evaluate on")
    add("--prefill", type=Path, help="demonstrations to learn from, too")
    add("--appearance", choices=APPEARANCES, default="mixed", help="while learning")
    add("--vector-only", action="store_true", help="learn from the vector alone")
    add("--traffic", type=int, default=0, help="other vehicles, to learn and to evaluate with")
    add("--lights", action="store_true", help="traffic lights, to learn and to evaluate with")
    add("--out", type=Path, required=True, help="file that the JSON lines are appended to")
    add("--save", type=Path, help="folder for a checkpoint at each evaluation")
    args = parser.parse_args()
    trial = Trial(
        name=args.name,
        preset=args.preset,
        overlay=args.config,
        seed=args.seed,
        steps=args.steps,
        every=args.every,
        episodes=args.episodes,
        maps=tuple(args.map),
        judge_maps=tuple(args.judge_map),
        prefill=args.prefill,
        vector_only=args.vector_only,
        surroundings={"traffic": args.traffic, "lights": args.lights},
        appearance=args.appearance,
    )
    for row in trial.rows(args.save):
        with args.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
