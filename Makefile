# Everything a newcomer needs: `make` lists the targets.
# VENV may point at an environment that is already installed: `make unit VENV=/some/venv READY=`.

VENV ?= .venv
# What the environment is made with: a distribution's optimised Python before the one on PATH (see the script).
PYTHON ?= $(shell scripts/choose-python.sh)
BIN := $(VENV)/bin
READY ?= $(VENV)/.installed
# What serving needs, and no more: `make run` has it sooner.
RUNS ?= $(if $(READY),$(VENV)/.installed-program)
MADE ?= $(if $(READY),$(VENV)/.made)
CONFIG ?= config/resolver.yaml
PYTEST := $(BIN)/python -m pytest
# Two more than there are cores: a test with real servers waits more than it computes.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
# Where the native plane is built.
export CARGO_TARGET_DIR ?= $(CURDIR)/native/target
# Images of containers set it; a thousand short processes would each compile the whole program again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# Several targets install into one environment.
.NOTPARALLEL:
.PHONY: help run demo unit test long check guide bench fmt clean peers native engine engine-for-tests web dist deb rootfs advisories

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made:
	@set -e; python="$(PYTHON)"; test -n "$$python"; set -x; "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.installed-program: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed: $(VENV)/.installed-program
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,docs]'
	@touch $@

native: $(MADE)
	@scripts/build-native.sh $(VENV)

# Both at once: one waits for the network, the other for the processor.
engine-for-tests: KIND = checked
engine engine-for-tests: $(MADE)
	@$(if $(RUNS),$(MAKE) --no-print-directory $(RUNS) & )scripts/build-native.sh $(VENV) $(KIND)$(if $(RUNS),; wait $$!)
	@$(BIN)/python -m resolver.server.engine

# As `engine` and `web`, as soon as can be.
.PHONY: quick
quick: $(MADE)
	@$(if $(RUNS),$(MAKE) --no-print-directory $(RUNS) & installing=$$!; )scripts/build-web.sh & web=$$!; \
		scripts/build-native.sh $(VENV) quick; $(if $(RUNS),wait $$installing || exit; )wait $$web
	@$(BIN)/python -m resolver.server.engine

web: ## build the dashboard (Node.js and npm); without them it is left out
	@scripts/build-web.sh

run: quick ## serve DNS on 127.0.0.1:5335 and metrics on 127.0.0.1:8053 (CONFIG=file for another set-up)
	$(BIN)/python -m resolver run --config $(CONFIG)

demo: $(RUNS) ## show the whole system on loopback, no network needed
	$(BIN)/python -m resolver demo

unit: engine-for-tests $(READY) ## the fast tests, about a minute; ROOM=tests/cache: those of one room, in seconds
	$(PYTEST) -q -n auto -m 'not slow and not loopback' --ignore=tests/loopback $(ROOM)

test: engine-for-tests web $(READY) peers ## every test, real servers and clients included
	scripts/test-native.sh $(VENV)
	$(PYTEST) -n $(WORKERS) --dist worksteal

long: export FUZZ_PROFILE = long
long: export PYTEST_TIMEOUT = 7200
long: export LONG_PEERS = long
long: engine web $(READY) peers deb rootfs ## what takes hours: every test, the packages in systems of their own, fuzzing at length, abuse, long lists
	scripts/test-native.sh $(VENV)
	$(PYTEST) -n $(WORKERS) --dist worksteal
	$(BIN)/python -m benchmarks abuse
	$(BIN)/python -m benchmarks lists --contestants native,python --names 10000000

# The native plane is built beside the rest: its last step, and mypy, keep one processor busy each.
check: $(MADE) ## format, lint, types, the files we ship, the guide and its links
	@set -e; scripts/build-native.sh $(VENV) checked & building=$$!; trap 'kill $$building 2>/dev/null || :' EXIT; \
		$(if $(READY),$(MAKE) --no-print-directory $(READY);) set -x; \
		$(BIN)/ruff format --check .; $(BIN)/ruff check .; $(BIN)/mypy; wait $$building
	@$(BIN)/python -m resolver.server.engine
	scripts/check-native.sh $(VENV)
	$(BIN)/python -m resolver check --config $(CONFIG)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

guide: $(READY) ## build the guide: build/guide/index.html (its search needs a web server)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: engine $(READY) peers ## CPU per query beside Unbound and the bare UDP echo
	$(BIN)/python -m benchmarks

fmt: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@PATH="$$PATH:$$HOME/.cargo/bin"; ! command -v cargo >/dev/null || cargo fmt --manifest-path native/Cargo.toml --all

peers: $(READY)
	@scripts/install-test-peers.sh $(LONG_PEERS)
	@$(BIN)/python -m pip install --quiet -c constraints.txt kubernetes-validate || echo "kubernetes-validate cannot be installed: its tests will be skipped"

dist: web $(READY) ## the sdist, the pure wheel, and wheels with the native engine inside, below dist/
	packaging/dist.sh $(VENV)

deb: web $(READY) ## the Debian package, of the wheel of these sources (built where dist/ has none)
	packaging/deb/build.sh $(VENV)

rootfs: web $(READY) ## the file system of the container image, as dist/rootfs.tar.gz; needs no container engine
	packaging/container/pack-rootfs.sh $(VENV)

advisories: $(READY) ## known weaknesses of what is shipped, where an advisory database can be had
	packaging/advisories.sh $(VENV)

clean: ## remove what make made
	rm -rf $(VENV) build dist native/target web/node_modules resolver/dashboard/built .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
