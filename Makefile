# Two commands: `make demo` finds a good network on real images; `make test` runs the tests.
# Both make their own virtual environment in .venv. Needs Python 3.11 or newer, and nothing else.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO := robonas-demo

help:
	@echo "make demo       find a good network for handwritten digits, by real trainings"
	@echo "make test       run the tests"
	@echo "make test-isa   run the tests of metrics as on older processors, and with memory checked"
	@echo "make test-slow  run the tests that take minutes"
	@echo "make lint       run the linters, the type checker and the import contracts"
	@echo "make format     format the code and mend what the linter can mend"
	@echo "make docs       build the site of the documentation: build/site/index.html"
	@echo "make reference  write the reference pages from the code"
	@echo "make gallery    run the examples, and take the pictures of the gallery (minutes)"
	@echo "make clean      remove the virtual environment and what the tools left"

.PHONY: demo test test-isa test-slow lint format docs reference gallery clean help

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "robonas needs Python 3.11 or newer; none was found. Install it, or run: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	@echo "Installing robonas into $(VENV) (PyTorch is large: this takes a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml
	@echo "Installing robonas and its tools into $(VENV) (this takes a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e '.[all]' --group dev
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(BIN)/robonas search examples/demo.toml --folder $(DEMO) --compare random

# Three at once, for two cores: many tests wait for processes that they start.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

# What metrics call depends on the processor: as one without AVX-512 (with glibc's checking allocator, which ends the
# process where memory was overwritten), and as one without AVX. Elsewhere than on Linux the allocator is the usual one.
METRIC_TESTS := tests/common/test_kernels.py tests/laws/test_metric_laws.py tests/metrics/test_any_network.py \
	tests/metrics/passes/test_batchnorm.py tests/metrics/passes/test_convolution.py tests/metrics/test_grasp_bn.py \
	tests/metrics/passes/test_pooling_relu.py tests/metrics/passes/test_repeats.py tests/metrics/test_values.py

test-isa: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=AVX2 GLIBC_TUNABLES=glibc.malloc.check=3 LD_PRELOAD=libc_malloc_debug.so.0 \
		$(BIN)/python -m pytest -q -n 2 --dist worksteal $(METRIC_TESTS)
	OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=SSE41 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(METRIC_TESTS)

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow --timeout 3600

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(VENV)/.installed-dev
	$(BIN)/python docs/make_reference.py

# Warnings are errors: a link within the site that leads nowhere, a docstring that does not read, a notebook that fails.
docs: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -E -W --keep-going -j 2 -d build/site-cache docs build/site
	@echo "Open build/site/index.html"

gallery: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/make_gallery.py

clean:
	rm -rf $(VENV) $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
