# Each command makes what it needs in .venv the first time, and again when pyproject.toml changes.
#   make demo [ARGS="--epochs 20 --seed 1"]    LeNet learns handwritten digits; pictures in outputs/
#   make course [ARGS="all --quick"]           the chapters: a list, or those that are named
#   make test [PYTEST="-k loader"]             lint, types, tests
#   make clean                                 remove .venv, outputs/ and caches

.DELETE_ON_ERROR:
.PHONY: demo course test clean

VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
PYTEST ?= -n auto

demo: $(VENV)/.demo
	$(BIN)/python examples/lenet.py $(ARGS)

course: export OPENBLAS_NUM_THREADS ?= 1
course: $(VENV)/.course
	$(BIN)/python -m examples $(ARGS)

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(PYTEST)

# The first Python that is new enough; an old one is named in the message.
$(BIN)/python:
	@for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
		if $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(VENV) with $$($$python --version)"; \
			rm -rf $(VENV); $$python -m venv $(VENV) && exit 0; \
			echo "error: $$python cannot make a virtual environment; on Debian: apt install python3-venv" >&2; \
			rm -rf $(VENV); exit 1; \
		fi; \
	done; \
	echo "error: Python 3.11 or newer is needed; found: $$(python3 --version 2>&1 || echo none)" >&2; \
	exit 1

# pip 25.1 is the first that installs dependency groups; Python 3.11 brings an older one.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install -q --editable '.[demo]'
	@touch $@

$(VENV)/.course: $(VENV)/.demo
	$(BIN)/python -m pip install -q --editable '.[course]'
	@touch $@

# PyTorch is what the tests compare with; without it they skip those comparisons and say so.
$(VENV)/.test: $(VENV)/.course
	$(BIN)/python -m pip install -q --group test --group lint
	@$(BIN)/python -m pip install -q '$(TORCH)' || echo "no $(TORCH) here: the comparisons with PyTorch will be skipped"
	@touch $@

clean:
	rm -rf $(VENV) outputs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
