#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All that docs/benchmarks.md wants measured on a GPU, one after the other, some 30 minutes.
# Before: `make setup`, then PyTorch for the card in .venv. `DEVICE=cpu bench/gpu.sh` tries it out.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda}
steps=${STEPS:-6000}
venv=.venv/bin
[ -e .venv/.ready-whole ] || { echo "bench/gpu.sh: run make setup first" >&2; exit 1; }
"$venv/python" -c "import torch; torch.empty(1, device='$device')" 2>/dev/null ||
  { echo "bench/gpu.sh: the PyTorch in .venv finds no $device" >&2; exit 1; }
out=$(mktemp -d "${TMPDIR:-/tmp}/td3_driver_gpu.XXXX")

stamped() {
  local line begun=$SECONDS
  while IFS= read -r line; do printf '%5d s  %s\n' $((SECONDS - begun)) "$line"; done
}

echo "== updates beside the peers"
PYTHONPATH=. "$venv/python" -m bench updates --device "$device" --threads 1 --rounds 5

echo 'agent: {batch_size: 256, updates_per_step: 8}' >"$out/utd8.yaml"
# To compare with the rate above at the same batch: the nodes should reach 0.9 of it.
for preset in default origin; do
  echo "== updates/s of the nodes, $preset, batch 256, 8 updates a step"
  "$venv/td3_driver" train --preset "$preset" --config "$out/utd8.yaml" --device "$device" \
    --domain auto --steps $((steps / 4)) --save-freq "$steps" --checkpoint-dir "$out/$preset" 2>&1 |
    grep 'updates/s' | tail -3
done

echo "== one world, then eight: seconds to 95 % completion on generated roads"
"$venv/td3_driver" train --device "$device" --domain auto --steps "$steps" --save-freq 500 \
  --checkpoint-dir "$out/one" 2>&1 | stamped | grep 'evaluation:'
gpus=$([ "$device" = cuda ] && echo 1 || echo 0)
"$venv/td3_driver" fleet --worlds 8 --learner-gpus "$gpus" --utd 1 --steps $((2 * steps)) \
  --save-freq 500 --checkpoint-dir "$out/fleet" 2>&1 | stamped | grep 'evaluation:'
echo "runs: $out"
