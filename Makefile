# The two commands: `make demo` runs the main job, `make test` proves everything that needs no root and no peer.
# The rest: `make lint`, `make compiled`, `make wheels`, `make conformance`, `make interop`, `make bench`, `make long`,
# `make figures`, `make clean`.

VENV := .venv
BIN := $(VENV)/bin
# Some tests wait for real timers: one more than there are processors keeps these busy.
JOBS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
PYTEST := python -m pytest -q --dist loadfile --no-loadscope-reorder
# Each test is in exactly one of the two (tests/architecture/test_selection.py).
UNIT := not root and not peer
INTEROP := root or peer

# The newest CPython that runs here, is at least 3.11 and has venv; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: demo test lint unit compiled wheels conformance interop bench long figures clean

demo: $(VENV)/.demo
	$(BIN)/catenet run examples/hiscore/world.toml --pcap hiscore.pcapng
	$(BIN)/catenet run examples/hiscore_rpc/world.toml

# At the same time, as most of lint is one process that uses one processor.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 lint unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev
	$(BIN)/$(PYTEST) -n $(JOBS) -m '$(UNIT)' tests

# The package with its hot modules compiled, installed into a venv of its own, passes the tests of what is compiled.
COMPILED := build/compiled
compiled: $(COMPILED)/.done
	$(COMPILED)/bin/catenet --version | grep -w compiled
	$(COMPILED)/bin/$(PYTEST) -n $$(($(JOBS) + 1)) tests/compiled/test_same_bytes.py \
		tests/wire tests/control tests/stack tests/link tests/posix tests/world tests/packetdrill tests/examples \
		tests/http tests/codec tests/net tests/session tests/tftp tests/dns/server tests/rpc \
		--ignore tests/rpc/interop --ignore tests/rpc/compile --ignore tests/rpc/compat

$(COMPILED)/.done: setup.py pyproject.toml requirements-dev.txt $(shell find src -name '*.py')
	rm -rf build
	$(PYTHON) -m venv $(COMPILED)
	$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'setuptools>=77' \
		--requirement requirements-dev.txt
	CATENET_COMPILE=1 $(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation .
	@touch $@

# What a release consists of, compiled for each CPython at hand, each wheel tried by itself: some ten minutes for each.
wheels: $(VENV)/.dev
	$(BIN)/python -m tests.packaging.wheels dist

conformance: $(VENV)/.dev
	tests/conformance/run.sh

# Many of these wait for timers of real peers, one for five minutes: twice as many keep the processors busy.
interop: $(VENV)/.dev
	$(BIN)/$(PYTEST) -n $$((2 * $(JOBS))) -m '$(INTEROP)' tests

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# What takes too long for every change: random worlds of names, transfers, TFTP, sessions, calls, clocks, addresses, orders,
# isolation and discovery (docs/long.md has the results), 5 GB files.
LONG_JOBS ?= $(shell nproc 2>/dev/null || echo 2)
long: $(VENV)/.dev
	$(BIN)/python -m tests.dns.worlds.random_names 1 1000 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.cli.transfer.random_worlds 1 500 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.tftp.random_worlds 1 1000 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.session.worlds 1 2000 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.session.worlds 1 200 --size 10000000 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.rpc.worlds.session_worlds 1 1000 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.ntp.worlds.random_clocks 1 200 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.world.random_automatic 1 400 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.world.random_orders 1 300 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.world.random_isolated 1 300 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.world.pairs 1 56 --jobs $(LONG_JOBS) --table docs/long.md
	$(BIN)/python -m tests.world.strangers --install --jobs $(LONG_JOBS) --table docs/compatibility.md
	$(BIN)/python -m tests.ssdp.random_worlds 1 200 --jobs $(LONG_JOBS) --table docs/long.md
	CATENET_LONG=1 $(BIN)/python -m pytest -q tests/cli/transfer/test_large.py

# Files, imports and circles, long functions, variables of TCP's control block.
figures: $(VENV)/.dev
	$(BIN)/python -m tests.architecture.figures

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no CPython >= 3.11 with venv found; install one or say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements-dev.txt --editable '.[demo,rpc,dns,http]'
	@touch $@

# The file names all that it needs, which `pip check` proves, so that nothing has to be resolved.
$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-dev.txt
	$(BIN)/python -m pip check
	@touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
