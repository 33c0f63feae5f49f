#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All that docs/benchmarks.md wants measured on a GPU, one after the other. Not run on one yet.
# Before: `make setup`, then PyTorch for the card in .venv. `DEVICE=cpu STEPS=400 bench/gpu.sh` only
# tries it out.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda}
steps=${STEPS:-6000}
case $device in
  cuda) gpus=1 ;;
  cpu) gpus=0 ;;
  *) echo "bench/gpu.sh: DEVICE=$device: expected cuda or cpu" >&2; exit 2 ;;
esac
venv=.venv/bin
[ -e .venv/.ready-whole ] || { echo "bench/gpu.sh: run make setup first" >&2; exit 1; }
"$venv/python" -c "import torch; torch.empty(1, device='$device')" 2>/dev/null ||
  { echo "bench/gpu.sh: the PyTorch in .venv finds no $device" >&2; exit 1; }
out=$(mktemp -d "${TMPDIR:-/tmp}/td3_driver_gpu.XXXX")
echo "runs and their logs: $out"

# logged NAME COMMAND...: its output into a log, whose end is shown if it fails.
logged() {
  local log="$out/$1.log"
  "${@:2}" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
}
# Seconds from a run's start to its first checkpoint that drives 95 % of its routes.
seconds_to_95() {
  "$venv/python" - "$out/$1.begun" "$out/$1/evaluations.jsonl" <<'PYTHON'
import json, sys
from pathlib import Path
begun_s = Path(sys.argv[1]).stat().st_mtime
rows = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
good = [row for row in rows if row["route_completion"] >= 0.95]
first = min(good, key=lambda row: row["written_ns"], default=None)
print("no checkpoint drives 95 %" if first is None else
      f"{first['written_ns'] / 1e9 - begun_s:.0f} s, {first['env_steps']} steps, start included")
PYTHON
}

echo "== updates beside the peers"
PYTHONPATH=. "$venv/python" -m bench updates --device "$device" --threads 1 --rounds 5

echo 'agent: {batch_size: 256, updates_per_step: 8}' >"$out/utd8.yaml"
# To compare with the rates above at the same batch: the nodes should reach 0.9 of them.
for preset in default origin; do
  echo "== updates/s of the nodes, $preset, batch 256, 8 updates a step"
  logged "$preset" "$venv/td3_driver" train --preset "$preset" --config "$out/utd8.yaml" \
    --device "$device" --domain auto --steps "$steps" --save-freq "$steps" \
    --checkpoint-dir "$out/$preset"
  grep 'updates/s' "$out/$preset.log" | tail -n 5
done

echo "== seconds to 95 % completion on generated roads: one world, then eight"
touch "$out/one.begun"
logged one "$venv/td3_driver" train --device "$device" --domain auto --steps "$steps" \
  --save-freq 500 --checkpoint-dir "$out/one"
seconds_to_95 one
touch "$out/eight.begun"
logged eight "$venv/td3_driver" fleet --worlds 8 --learner-gpus "$gpus" --utd 1 \
  --steps $((2 * steps)) --save-freq 500 --checkpoint-dir "$out/eight"
seconds_to_95 eight
