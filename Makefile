# The two commands that matter: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
COMPILED := .venv-compiled
WHEELS := dist/.built
FUZZING  := .venv-fuzz
READY  := $(VENV)/.ready

.PHONY: help demo test test-compiled wheel check simulate soak soak-connection fuzz mutants bench bench-compiled bench-gate audit format clean

help:
	@echo "make demo    send 10,000 notifications to a simulated APNs over TLS and check every outcome"
	@echo "make test    run the whole test-suite, with branch coverage of apns_core"
	@echo "make wheel   build both wheels into dist: plain Python, and compiled (needs a C compiler)"
	@echo "make test-compiled  run the tests of the engine and its clients against the compiled wheel"
	@echo "make simulate  live through 500 simulated worlds (SEEDS=500), each to be replayed by its seed"
	@echo "make check   ruff (lint and format), mypy strict, pyright strict"
	@echo "make soak    send through a network that misbehaves (MINUTES=10), and compare the books"
	@echo "make soak-connection  a million accepted and a million rejected on one connection to nginx (COUNT=1000000)"
	@echo "make fuzz    fuzz the engine, each harness for a minute (SECONDS=60); see fuzz/README.md"
	@echo "make mutants  make deliberate mistakes one by one, and see the tests notice each"
	@echo "make bench   take all figures anew and write docs/performance.md (half an hour, a quiet machine)"
	@echo "make bench-gate  check that it is as fast as it was (a minute)"
	@echo "make audit   look for known vulnerabilities in what is installed (asks osv.dev)"
	@echo "make format  let ruff rewrite the files"
	@echo "make clean   remove .venv, .venv-compiled, dist and caches"

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

# The variable is the build backend's own, and enables the hook of hatch_build.py.
$(WHEELS): $(READY) hatch_build.py README.md LICENSE $(shell find src -type f -not -name '*.pyc')
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@touch $@

wheel: $(WHEELS)
	@ls -l dist

# An environment of its own, where nothing but the wheel can be imported. The tests are those of what
# is compiled and of what stands on it; `make test-compiled ENGINE_TESTS=` runs all.
ENGINE_TESTS ?= $(addprefix tests/,apns_core apns_asyncio apns_trio apns_simulator contract fuzz \
	regressions simulation peers/test_peers.py test_log_watch.py)
test-compiled: $(WHEELS)
	$(PYTHON) -m venv --clear $(COMPILED)
	$(COMPILED)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(COMPILED)/bin/python -m pip install --quiet \
		"$$(ls dist/apns_core-*-cp*.whl)[cli,simulator,trio]" --group test
	APNS_FORM=compiled APNS_OTHER_PYTHON=$(abspath $(BIN)/python) \
		$(COMPILED)/bin/pytest --numprocesses auto $(ENGINE_TESTS)

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

COUNT ?= 1000000
soak-connection: $(READY)
	$(BIN)/python -m tests.soak.one_connection --count $(COUNT)

$(FUZZING)/.ready: pyproject.toml
	$(PYTHON) -m venv $(FUZZING)
	$(FUZZING)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(FUZZING)/bin/python -m pip install --quiet --editable '.[cli,simulator]' --group fuzz
	@touch $@

SECONDS ?= 60
SEED ?= 0
fuzz: $(FUZZING)/.ready
	$(FUZZING)/bin/python -m fuzz run --seconds $(SECONDS) --seed $(SEED)

mutants: $(READY)
	$(BIN)/python -m tests.mutants

# What the full benchmarks need on top: other engines, pyperf, a plotter.
$(VENV)/.bench-ready: $(READY)
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

# Ours are measured in both forms; `make bench COMPILED=` leaves the compiled one out.
bench-compiled: wheel
	$(PYTHON) -m venv --clear $(COMPILED)
	$(COMPILED)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(COMPILED)/bin/python -m pip install --quiet \
		"$$(ls dist/apns_core-*-cp*.whl)[simulator,trio]" --group bench

# One figure after the other: they would disturb each other. A run that fails leaves the old result.
RESULTS := benchmarks/results
with_compiled = $(if $(COMPILED),--compiled $(abspath $(COMPILED))/bin/python)
take = $(BIN)/python benchmarks/$(1) --json > $(RESULTS)/$(2).new && mv $(RESULTS)/$(2).new $(RESULTS)/$(2)
bench: $(VENV)/.bench-ready $(if $(COMPILED),bench-compiled)
	$(call take,compare.py $(with_compiled),compare.json)
	$(call take,core.py $(with_compiled),core.json)
	$(call take,core.py --growth,growth.json)
	$(call take,memory.py,memory.json)
	$(call take,rtt.py,rtt.json)
	$(call take,floods.py,floods.json)
	$(BIN)/python benchmarks/report.py

bench-gate: $(READY)
	$(BIN)/python benchmarks/gate.py

# By a tool in an environment of its own, which is not what is looked at. Of PyPI's own list it takes
# a package that it cannot reach for one without faults; osv.dev out of reach fails.
audit: $(READY)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --vulnerability-service osv \
		--path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(COMPILED) $(FUZZING) .fuzz build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
