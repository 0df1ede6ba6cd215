# Two commands do everything: `make demo` and `make test`. Each sets the clone up first (`make install`);
# once that is done, the set-up costs a fraction of a second.

SHELL := /bin/bash
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# Tools of the venv (node, where the machine has none) are found without asking anyone to activate it.
WITH_TOOLS := PATH="$(BIN):$$PATH"
PYTEST_ARGS ?=
# More than there are cores: tests wait for processes, blocks and timeouts most of their time. A file's tests stay
# together, with a Postgres and local chains of their worker's own.
WORKERS ?= 3
DEMO_ARGS ?=
REPETITIONS ?= 10

.PHONY: install demo test soak lint contracts-check slither oracles runtime-suite lock

install:
	@$(PYTHON) tools/install.py

demo: install
	@$(WITH_TOOLS) $(BIN)/fusion-daemon demo $(DEMO_ARGS)

test: install
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint contracts-check
	@$(MAKE) --no-print-directory runtime-suite
	$(WITH_TOOLS) $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile $(PYTEST_ARGS)

# The tests that look for what is rare, in their long form: more repetitions, more kills, longer outages.
soak: install
	@$(MAKE) --no-print-directory runtime-suite REPETITIONS=200
	$(WITH_TOOLS) FUSION_PRIME_SOAK=1 FUSION_PRIME_TEST_OUTAGE=20 $(BIN)/python -m pytest tests/faults tests/e2e $(PYTEST_ARGS)

# The runtime's own tests, again and again, and every branch of it.
runtime-suite: install
	$(BIN)/python -m tools.runtime_suite --times $(REPETITIONS)

lint: install
	$(BIN)/ruff check
	$(WITH_TOOLS) $(BIN)/lint-imports
	$(BIN)/python -m mypy

# Solidity tests, and: the committed artifacts are what the sources compile to, calls cost what `.gas-snapshot` says,
# and static analysis finds nothing that is not explained.
contracts-check: install
	@$(PYTHON) tools/install.py --contracts
	cd contracts && $(WITH_TOOLS) node_modules/.bin/forge test
	cd contracts && $(WITH_TOOLS) node_modules/.bin/forge snapshot --check --match-contract Gas
	cd contracts && $(WITH_TOOLS) $(BIN)/python build_artifacts.py --check
	@$(MAKE) --no-print-directory slither

# Findings of medium and high impact, neither fixed nor explained where they are found.
slither: install
	@$(PYTHON) tools/install.py --contracts
	$(WITH_TOOLS) $(BIN)/python -m tools.slither

# What other risk libraries answer to the cases of the tests, asked anew: the committed answers must still be theirs.
# They are large, so they have an environment of their own, and the tests read the answers.
oracles: install
	$(BIN)/python -m tools.oracles --check

# Choose new versions within pyproject.toml. Locks hold hashes and no addresses.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --only-binary :all: --no-header --no-annotate --no-emit-index-url
lock: install
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) pyproject.toml --extra embedded --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra embedded --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) --group node --output-file requirements-node.lock
	echo "slither-analyzer>=0.11.6 ; python_full_version < '3.14'" | $(COMPILE) - --output-file requirements-slither.lock
	$(COMPILE) --group oracles --constraint requirements.lock --output-file requirements-oracles.lock
	cd tools/anvil && $(WITH_TOOLS) npm install --package-lock-only --ignore-scripts --no-audit --no-fund
