# The two commands that matter: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test check simulate soak mutants format clean

help:
	@echo "make demo    send 10,000 notifications to a simulated APNs over TLS and check every outcome"
	@echo "make test    run the whole test-suite, with branch coverage of apns_core"
	@echo "make simulate  live through 500 simulated worlds (SEEDS=500), each to be replayed by its seed"
	@echo "make check   ruff (lint and format), mypy strict, pyright strict"
	@echo "make soak    send through a network that misbehaves (MINUTES=10), and compare the books"
	@echo "make mutants  make deliberate mistakes one by one, and see the tests notice each"
	@echo "make format  let ruff rewrite the files"
	@echo "make clean   remove .venv and caches"

# One stamp for the environment: reinstall when the dependencies change.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[cli,simulator,trio]' --group dev
	@touch $@

demo: $(READY)
	$(BIN)/apns demo

test: $(READY)
	$(BIN)/pytest --numprocesses auto --cov --cov-report=
	$(BIN)/coverage report --include='src/apns_core/*' --fail-under=95

SEEDS ?= 500
simulate: $(READY)
	$(BIN)/python -m tests.simulation --seeds 0-$$(($(SEEDS) - 1)) --jobs 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

MINUTES ?= 10
soak: $(READY)
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

mutants: $(READY)
	$(BIN)/python -m tests.mutants

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
