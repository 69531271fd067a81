# Two commands are enough: `make up` runs leadflow on this machine, `make test` proves it.
# Everything lands in .venv; no activation, nothing outside this folder but what pip caches.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up test accept bench lint format docs pictures assets lock install install-dev clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# make up HOST=0.0.0.0 PORT=9000 DATA=/var/lib/leadflow
HOST ?=
PORT ?=
DATA ?=
# make test TESTS="tests/unit tests/integration/test_inbox.py"
TESTS ?=
# make lock UPGRADE=--upgrade
UPGRADE ?=

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

up: $(VENV)/.installed ## Install what is missing and run leadflow with example data
	exec $(BIN)/leadflow up --demo $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(if $(DATA),--data $(DATA))

test: $(VENV)/.installed-dev ## Install what is missing and pass every test
	$(BIN)/python tests/quality/run_tests.py $(TESTS)

accept: $(VENV)/.installed-dev ## The whole recorded log (140,000 events) through real processes, judged by the oracle
	LEADFLOW_FULL_LOG=1 $(BIN)/python -m pytest -s tests/acceptance/test_leadforge_log.py

bench: $(VENV)/.installed-dev ## Measure speed beside plain code, five minutes (QUICK=1: one)
	$(BIN)/python -m tests.benchmarks $(if $(QUICK),--quick)

lint: $(VENV)/.installed-dev ## Style, types, floors, dependencies, function lengths, container files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry leadflow
	$(BIN)/python tests/quality/function_lengths.py leadflow
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.installed-dev ## Put the code into the agreed shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed ## Write what is made from the code: the reference of the rule language and its JSON Schema
	LEADFLOW_CONFIG=config $(BIN)/leadflow reference --output docs/reference.md
	LEADFLOW_CONFIG=config $(BIN)/leadflow schema --output config/rules/schema/leadflow-1.json

pictures: $(VENV)/.installed-dev ## Make the pictures of the documentation anew, of every page; needs Chromium
	$(BIN)/python -m tests.browser.make_screenshots

assets: ## Bundle the scripts that are made of npm packages; needs Node.js, and only who changes them needs it
	cd leadflow/web/assets && npm ci --no-fund --no-audit && node build.mjs

lock: $(VENV)/.installed-dev ## Write both lock files anew from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --quiet --python-version 3.11 $(UPGRADE) \
		--extra redis --group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --quiet --python-version 3.11 $(UPGRADE) \
		--extra redis --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

install: $(VENV)/.installed ## Only install
install-dev: $(VENV)/.installed-dev ## Only install, with what developers need

clean: ## Remove the virtual environment and caches; leadflow's data (.leadflow) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results

# --- installing: every package is checked against its hash; a second `make` finds the stamps and does nothing ---------

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing leadflow into $(VENV) (once; about a minute)"
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing the tools for development into $(VENV) (once; a minute or two)"
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# A name such as python3.13 may be a shim that starts nothing, so each candidate is asked to run. PYTHON=… chooses one.
$(VENV)/bin/python:
	@lacks_venv=; \
	for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		"$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1 || { lacks_venv="$$candidate"; continue; }; \
		echo "Creating $(VENV) with $$("$$candidate" --version)"; \
		exec "$$candidate" -m venv $(VENV); \
	done; \
	if [ -n "$$lacks_venv" ]; then \
		echo "$$lacks_venv cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; \
	else \
		echo "leadflow needs Python 3.11 or newer; found: $$(python3 --version 2>/dev/null || echo no python3)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2; \
	fi; \
	exit 1
