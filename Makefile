# `make help` lists what there is. Everything runs in .venv, which `make install` makes.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The newest interpreter that the project supports; PYTHON=... overrides it. The distribution's own come first: they are compiled with
# profile-guided optimisation, which those built from source often are not, and need a fifth to a quarter less time for a decision.
PYTHON ?= $(shell for p in /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help install up test test-fast check format lock bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Ordinance needs Python 3.11, 3.12 or 3.13; none was found. Install one or set PYTHON=/path/to/python."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Numba looks at one file's age only: when any kernel changed, all are compiled anew.
$(VENV)/.compiled: $(VENV)/.installed models/kernel.py models/packing.py models/quadrature.py $(wildcard models/splitting/*.py)
	@rm -f models/__pycache__/*.nb? models/splitting/__pycache__/*.nb?
	$(BIN)/python -m models.compiled
	@touch $@

install: $(VENV)/.compiled ## make .venv with everything pinned, and compile the kernels

up: install ## start everything on this machine (PORT=8000, ORDINANCE_HOME=~/.ordinance)
	$(BIN)/ordinance up $(if $(PORT),--port $(PORT))

test: install ## every test: units, properties, journeys on the real thing
	$(BIN)/python -m pytest

test-fast: install ## fast feedback: no journeys, no slow tests, no PostgreSQL, no browser
	$(BIN)/python -m pytest -q -m "not slow and not journey and not postgres and not chromium"

check: install ## format, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install ## let the formatter and the fixable lints do their work
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install ## pin every dependency anew, with hashes
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml --output-file requirements.lock

bench: install ## measure: endpoints and layers beside their peers, on SQLite and PostgreSQL
	$(BIN)/python -m benchmarks
