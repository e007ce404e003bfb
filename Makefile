# make setup | test | test-fast | test-torch | sanitize | docs | demo | lint | format | wheel-test | dist | bench |
#      gpu-check | clean
#
#   make test PYTHON=python3.12 VENV=.venv312     another interpreter, its own environment
#   make test PYTEST_ARGS="-k window -x"          more arguments for pytest
#
# Once the environment exists, only wheel-test and dist need a network.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
EXTRAS ?= test,lint
PYTEST_ARGS ?=
# More packages of the environment, for instance with a version that an extra leaves open
PACKAGES ?=
# test-torch: the PyTorch that the tests were written with, in an environment of its own
TORCH ?= torch==2.13.0
TORCH_VENV ?= .venv-torch
# sanitize: a compiler that is used through tools/sanitizing_c++, and the tests that run what it compiles
SANITIZED_CXX ?= g++
SANITIZED_TESTS ?= tests/test_engine.py tests/test_silent_results.py tests/test_equilibrium_engine.py \
  tests/test_equilibrium_convolution.py tests/test_eventprop.py tests/test_export_program.py tests/test_graph.py
# wheel-test: the interpreter and the extras of the fresh environment, and which tests run in it
WHEEL_PYTHON ?= $(BIN)/python
WHEEL_EXTRAS ?= test,lint
WHEEL_PYTEST_ARGS ?=
# gpu-check: for instance GPU_ARGS="--device processor", which needs no GPU
GPU_ARGS ?=

# Where an environment has its programs: on Windows elsewhere
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(abspath $(VENV))/$(SCRIPTS)
STAMP := $(VENV)/.installed
PIP_FLAGS := -qq --disable-pip-version-check
# Errors inside neurosnn's functions are not reported, only what a caller sees of them.
MYPY_FLAGS := --strict --follow-imports=silent
# Tests of a file share programs and simulations: they run in one process.
PYTEST_FLAGS := --import-mode=importlib --strict-markers -ra -n $(JOBS) --dist loadfile

.PHONY: setup test test-fast test-torch sanitize docs demo lint format wheel-test dist bench gpu-check clean

setup: $(STAMP)
	@echo "==> setup: $(VENV) is ready"

# Without build isolation, pip needs no network when everything is there already.
$(STAMP): setup.cfg pyproject.toml
	@echo "==> setup: $(VENV) with neurosnn (editable) and the extras $(EXTRAS)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurosnn needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(PIP_FLAGS) "setuptools>=68" wheel
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-build-isolation -e ".[$(EXTRAS)]" $(PACKAGES)
	@touch $(STAMP)

# PyTorch is in this environment, or in the one that test-torch makes, or its tests are skipped.
test: $(STAMP)
	@echo "==> test: all tests, $(JOBS) at a time"
	@$(BIN)/pytest $(PYTEST_FLAGS) --durations=10 tests $(PYTEST_ARGS)
	@if test -n "$(PYTEST_ARGS)" || $(BIN)/python -c 'import torch' 2> /dev/null; then :; \
	elif test -x $(TORCH_VENV)/bin/pytest; then $(MAKE) --no-print-directory test-torch; \
	else echo "==> test: no PyTorch, its tests are skipped; make test-torch installs it"; fi

test-fast: $(STAMP)
	@echo "==> test-fast: without the slow tests and those that compile C++"
	@$(BIN)/pytest $(PYTEST_FLAGS) -m "not slow and not standalone" tests $(PYTEST_ARGS)

test-torch:
	@$(MAKE) --no-print-directory setup VENV=$(TORCH_VENV) EXTRAS=test,torch PACKAGES=$(TORCH)
	@echo "==> test-torch: the tests that need PyTorch"
	@OMP_NUM_THREADS=1 $(TORCH_VENV)/bin/pytest $(PYTEST_FLAGS) tests -m torch $(PYTEST_ARGS)

# The interpreter is not instrumented, so the libraries are preloaded; its own leaks are nobody's concern.
# One test asks for impossible memory, another limits it: AddressSanitizer needs much address space.
sanitize: $(STAMP)
	@echo "==> sanitize: engines and an exported program with AddressSanitizer and UndefinedBehaviorSanitizer"
	@LD_PRELOAD="$$($(SANITIZED_CXX) -print-file-name=libasan.so) $$($(SANITIZED_CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	CXX=$(CURDIR)/tools/sanitizing_c++ SANITIZED_CXX=$(SANITIZED_CXX) NEUROSNN_CACHE=$(abspath $(VENV))/sanitized \
	$(BIN)/pytest $(PYTEST_FLAGS) --durations=10 $(SANITIZED_TESTS) \
	  -k "not too_long_for_any_memory and not no_memory" $(PYTEST_ARGS)

docs: $(STAMP)
	@echo "==> docs: the manual, in docs/_build/html/index.html"
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-build-isolation -e ".[docs]"
	@$(BIN)/python -P -m sphinx -q -W --keep-going -b html docs docs/_build/html

demo: $(STAMP)
	@echo "==> demo: examples/demo.py"
	@$(BIN)/python examples/demo.py

# mypy cannot follow an editable install whose sub-packages live in other folders: it gets the installed
# layout as a copy, and reads it from there (from here it would find ./neurosnn without equations).
lint: $(STAMP)
	@echo "==> lint: ruff check, ruff format, mypy of the public signatures, who imports whom"
	@rm -rf $(VENV)/typing && mkdir -p $(VENV)/typing
	@cp -R $(CURDIR)/neurosnn $(VENV)/typing/neurosnn
	@cp -R $(CURDIR)/equations $(CURDIR)/analysis $(VENV)/typing/neurosnn/
	@failed=0; \
	$(BIN)/ruff check --output-format concise . || failed=1; \
	$(BIN)/ruff format --check --output-format concise . || failed=1; \
	cd $(VENV)/typing && $(BIN)/mypy --config-file $(CURDIR)/setup.cfg --cache-dir $(CURDIR)/.mypy_cache \
	  $(MYPY_FLAGS) $(CURDIR)/tests/typing/*.py || failed=1; \
	$(BIN)/lint-imports --no-cache $(CURDIR)/setup.cfg || failed=1; \
	exit $$failed

format: $(STAMP)
	@echo "==> format: ruff check --fix, ruff format"
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

wheel-test: $(STAMP)
	@echo "==> wheel-test: build a wheel, install it in a fresh environment, test it outside the tree"
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir" build' EXIT; rm -rf build; \
	$(BIN)/python -m pip wheel $(PIP_FLAGS) --no-deps --no-build-isolation -w "$$dir/dist" .; \
	$(WHEEL_PYTHON) -m venv "$$dir/venv"; \
	"$$dir/venv/bin/python" -m pip install $(PIP_FLAGS) "$$(ls "$$dir"/dist/*.whl)[$(WHEEL_EXTRAS)]"; \
	cp -R tests "$$dir/tests"; cp setup.cfg "$$dir/mypy.cfg"; cd "$$dir"; \
	failed=0; \
	venv/bin/mypy --config-file mypy.cfg $(MYPY_FLAGS) tests/typing/*.py || failed=1; \
	venv/bin/pytest $(PYTEST_FLAGS) -p no:cacheprovider tests $(WHEEL_PYTEST_ARGS) || failed=1; \
	exit $$failed

# What would be uploaded: twine reads the description, in an environment that has nothing of ours.
dist: $(STAMP)
	@echo "==> dist: sdist and wheel in dist/, checked with twine"
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir" build *.egg-info' EXIT; rm -rf build dist; \
	$(BIN)/python -m venv "$$dir"; tools="$$dir/$(SCRIPTS)/python"; \
	"$$tools" -m pip install $(PIP_FLAGS) build twine; \
	"$$tools" -m build --outdir dist .; \
	"$$tools" -m twine check --strict dist/*

bench: $(STAMP)
	@echo "==> bench: every benchmark, --quick"
	@set -e; for file in benchmarks/[!_]*.py; do \
	  test -e "$$file" || { echo "no benchmarks yet"; break; }; \
	  echo "-- $$file"; $(BIN)/python "$$file" --quick; done

# With the interpreter that knows the GPU, not with an environment that is made here.
gpu-check:
	@echo "==> gpu-check: the CUDA engine, exports, benchmarks and a training on this machine's GPU"
	@$(PYTHON) tools/gpu_check.py $(GPU_ARGS)

clean:
	@echo "==> clean: $(VENV), builds and caches"
	@rm -rf $(VENV) $(TORCH_VENV) docs/_build docs/generated build dist output *.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
