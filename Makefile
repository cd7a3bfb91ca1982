# Works with Python 3.11 or newer, pip and make; builds its own .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
# Two workers: what the smallest machines have. Tests that start processes share them.
WORKERS ?= 2
# Fast tests wait for threads and clocks a third of their time, and start few processes: one more than the cores.
FAST_WORKERS ?= 3
ARGS ?=
# Compiled code is kept: otherwise each process of the tests compiles the package, and pytest each test, anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check check-types check-layers check-tests fmt bench bench-million bench-peers bench-guard profile chaos promises docs clean

demo: $(INSTALLED)
	$(BIN)/nightmail demo $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --no-print-directory --jobs 3 check-types check-layers check-tests

check-types: $(READY)
	$(BIN)/mypy

check-layers: $(READY)
	$(BIN)/lint-imports

check-tests: $(READY)
	$(BIN)/python -m pytest -n $(FAST_WORKERS) --dist worksteal -m "not end_to_end and not exhaustive" \
		--hypothesis-profile fast $(ARGS)

fmt: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python benchmarks/bench.py $(ARGS)

# Minutes, 6 GB of memory for the naive script, 10 GB of disk; what it finds is in docs/reference/benchmarks.md.
bench-million: $(READY)
	$(BIN)/python benchmarks/bench.py --records 1000000 $(ARGS)

# Installs each peer into .venvs/ (2 GB), once.
bench-peers: $(READY)
	$(BIN)/python benchmarks/bench_peers.py $(ARGS)

profile: $(READY)
	$(BIN)/python benchmarks/profile_run.py $(ARGS)

bench-guard: $(READY)
	$(BIN)/python benchmarks/guard.py $(or $(ARGS),--check)

# New nights begin for ten minutes; `make chaos ARGS="--minutes 60"` for an hour.
chaos: $(READY)
	$(BIN)/python -m chaos.rehearse --minutes 10 $(ARGS)

# What is promised, one after the other, with figures: about a quarter of an hour.
promises: $(READY)
	$(BIN)/python -m chaos.promises $(ARGS)

docs: $(READY)
	for script in scripts/docs_*.py; do $(BIN)/python $$script || exit 1; done
	$(BIN)/python -m pytest tests/docs $(ARGS)

clean:
	rm -rf $(VENV) .venvs .nightmail .chaos .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Installed in place, so that a change of the code needs no new installation; a change of pyproject.toml does.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nightmail needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(READY): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
