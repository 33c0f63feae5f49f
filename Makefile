# SPDX-License-Identifier: Apache-2.0
# The first target sets up .venv (once); afterwards each command starts at once.
PYTHON ?=
ARGS ?=
VENV := .venv
READY := $(VENV)/.ready
SETUP_INPUTS := requirements.txt setup.py setup.cfg package.xml setup/venv.sh \
  $(shell find interfaces -type f)

.PHONY: train test lint setup clean
train: $(READY)
	@$(VENV)/bin/td3_driver train $(ARGS)

test: $(READY) lint
	@$(VENV)/bin/python -m pytest $(ARGS)

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

setup: $(READY)

$(READY): $(SETUP_INPUTS)
	@PYTHON="$(PYTHON)" bash setup/venv.sh $(VENV)

clean:
	rm -rf $(VENV) build install log *.egg-info
