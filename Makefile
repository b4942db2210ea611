# Two commands: `make demo` finds a good network on real images; `make test` runs the tests.
# Both make their own virtual environment in .venv. Needs Python 3.11 or newer, and nothing else.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO := robonas-demo

.PHONY: demo test test-slow lint format docs clean help

help:
	@echo "make demo       find a good network for handwritten digits, by real trainings"
	@echo "make test       run the tests"
	@echo "make test-slow  run the tests that take minutes"
	@echo "make lint       linters, types and import contracts"

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "robonas needs Python 3.11 or newer; none was found. Install it, or run: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	@echo "Installing robonas into $(VENV) (PyTorch is large: this takes a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e '.[all]' --group dev
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/robonas search examples/demo.toml --folder $(DEMO) --compare random

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
