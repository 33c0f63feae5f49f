# SPDX-License-Identifier: Apache-2.0
# The first target sets up .venv (once); afterwards each command starts at once.
PYTHON ?=
ARGS ?=
VENV := .venv
READY := $(VENV)/.ready
SETUP_INPUTS := requirements.txt setup.py setup.cfg package.xml setup/venv.sh \
  $(shell find interfaces -type f)

BENCH := .venv-bench

.PHONY: train test lint setup bench fuzz clean
train: $(READY)
	@$(VENV)/bin/td3_driver train $(ARGS)

test: $(READY) lint
	@$(VENV)/bin/python -m pytest $(ARGS)

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

setup: $(READY)

# 300 kills at random moments of a saving trainer; every file must verify afterwards.
fuzz: $(READY)
	@$(VENV)/bin/python test/checkpoints/fuzz_kill.py $(if $(ARGS),$(ARGS),--kills 300)

# The peers (Stable-Baselines3, cpprb) live in an environment of their own.
bench: $(BENCH)/.ready
	@PYTHONPATH=. $(BENCH)/bin/python -m bench $(ARGS)

$(BENCH)/.ready: bench/requirements.txt
	@$(or $(PYTHON),python3) -m venv $(BENCH)
	@$(BENCH)/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
	@touch $@

$(READY): $(SETUP_INPUTS)
	@PYTHON="$(PYTHON)" bash setup/venv.sh $(VENV)

clean:
	rm -rf $(VENV) $(BENCH) build install log *.egg-info
