# Everything a newcomer needs: `make` lists the targets.
# VENV may point at an environment that is already installed: `make unit VENV=/some/venv READY=`.

VENV ?= .venv
# What the environment is made with: a distribution's optimised Python before the one on PATH (see the script).
PYTHON ?= $(shell scripts/choose-python.sh)
BIN := $(VENV)/bin
READY ?= $(VENV)/.installed
CONFIG ?= config/resolver.yaml
PYTEST := $(BIN)/python -m pytest
# Where the native plane is built.
export CARGO_TARGET_DIR ?= $(CURDIR)/native/target

.DEFAULT_GOAL := help
# Several targets install into one environment.
.NOTPARALLEL:
.PHONY: help run demo unit test long check bench fmt clean peers native engine web

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	@set -e; python="$(PYTHON)"; test -n "$$python"; set -x; "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

native: $(READY)
	@scripts/build-native.sh $(VENV)

engine: native
	@$(BIN)/python -m resolver.server.engine

web: ## build the dashboard (Node.js and npm); without them it is left out
	@scripts/build-web.sh

run: engine web ## serve DNS on 127.0.0.1:5335 and metrics on 127.0.0.1:8053 (CONFIG=file for another set-up)
	$(BIN)/python -m resolver run --config $(CONFIG)

demo: $(READY) ## show the whole system on loopback, no network needed
	$(BIN)/python -m resolver demo

unit: engine ## the fast tests, under a minute
	$(PYTEST) -q -n auto -m 'not slow and not loopback'

test: engine web peers ## every test, real servers and clients included
	scripts/test-native.sh $(VENV)
	$(PYTEST) -n auto --dist worksteal

long: export FUZZ_PROFILE = long
long: export PYTEST_TIMEOUT = 7200
long: engine web peers ## what takes hours: every test and fuzzing at length, abuse, lists of 10,000,000 names
	scripts/test-native.sh $(VENV)
	$(PYTEST) -n auto --dist worksteal
	$(BIN)/python -m benchmarks abuse
	$(BIN)/python -m benchmarks lists --contestants native,python --names 10000000

check: engine ## format, lint, types, and the files we ship
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	scripts/check-native.sh $(VENV)
	$(BIN)/python -m resolver check --config $(CONFIG)

bench: engine peers ## CPU per query beside Unbound and the bare UDP echo
	$(BIN)/python -m benchmarks

fmt: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@PATH="$$PATH:$$HOME/.cargo/bin"; ! command -v cargo >/dev/null || cargo fmt --manifest-path native/Cargo.toml --all

peers:
	@scripts/install-test-peers.sh

clean: ## remove what make made
	rm -rf $(VENV) build native/target web/node_modules resolver/dashboard/built .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
