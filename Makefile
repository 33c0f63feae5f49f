# SPDX-License-Identifier: Apache-2.0
# The first target sets up .venv (once); afterwards each command starts at once. `train` needs less
# of it than the others, and the first call of `train` does not install the rest.
PYTHON ?=
ARGS ?=
# Other versions, in an environment of their own: SET=kilted, ubuntu-22.04, ubuntu-24.04.
SET ?=
VENV := .venv$(SET:%=-%)
READY := $(VENV)/.ready
WHOLE := $(VENV)/.ready-whole
SETUP_INPUTS := requirements.txt requirements-ros.txt setup.py setup.cfg package.xml setup/venv.sh \
  $(SET:%=setup/%.txt) $(shell find interfaces -type f)

BENCH := .venv-bench

# CARLA_WORKSPACE=FOLDER, on the command line or in the environment: a workspace that has CARLA's
# bridge, for test/real_bridge and for train ARGS="--world carla". Its environment is its processes'.

# Where a ROS installation is sourced: its Python packages are not those of the environment, one of
# them (launch_testing) breaks any newer pytest, and its libraries would go before the wheels'.
unexport PYTHONPATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION ROS_DISTRO
ifdef AMENT_PREFIX_PATH
unexport AMENT_PREFIX_PATH LD_LIBRARY_PATH
endif

.PHONY: train test test-all lint setup bench fuzz soak clean
train: $(READY)
	@$(VENV)/bin/td3_driver train $(ARGS)

# Files of tests that start processes: two at a time keep two cores busy. The longest come first
# (test/conftest.py), so that both ends come together.
PROCESSES := test/e2e test/bridge test/bags test/ros test/real_bridge
test: $(WHOLE) lint
ifeq ($(ARGS),)
	@$(VENV)/bin/python -m pytest -n auto --dist loadfile $(PROCESSES:%=--ignore=%)
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PROCESSES)
else
	@$(VENV)/bin/python -m pytest $(ARGS)
endif

# The long ones too: a hundred generated maps, a hundred routes in CARLA's towns.
test-all: $(WHOLE) lint
	@$(VENV)/bin/python -m pytest -m "long or not long" $(ARGS)

lint: $(WHOLE)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

setup: $(WHOLE)

# 300 kills at random moments of a saving trainer; every file must verify afterwards.
fuzz: $(WHOLE)
	@$(VENV)/bin/python test/checkpoints/fuzz_kill.py $(if $(ARGS),$(ARGS),--kills 300)

# An hour of training under random faults: what grows, what is lost (docs/reliability.md).
soak: $(WHOLE)
	@$(VENV)/bin/python -m test.soak $(ARGS)

# The peers (Stable-Baselines3, cpprb) live in an environment of their own, which has no ROS.
BENCH_VENV = $(if $(filter world start carla fleet,$(ARGS)),$(VENV),$(BENCH))
bench: $(if $(filter world start carla fleet,$(ARGS)),$(WHOLE),$(BENCH)/.ready)
	@PYTHONPATH=. $(BENCH_VENV)/bin/python -m bench $(ARGS)

$(BENCH)/.ready: bench/requirements.txt
	@$(or $(PYTHON),python3) -m venv $(BENCH)
	@$(BENCH)/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
	@touch $@

$(READY): $(SETUP_INPUTS)
	@PYTHON="$(PYTHON)" bash setup/venv.sh $(VENV) "$(SET)"

$(WHOLE): $(READY) requirements-more.txt
	@PYTHON="$(PYTHON)" bash setup/venv.sh $(VENV) "$(SET)" more

clean:
	rm -rf .venv .venv-* build install log *.egg-info
