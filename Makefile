# make demo / make test create .venv themselves; everything else assumes it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# A file's tests stay in one process: they share what is compiled.
PARALLEL := -n 2 --dist loadfile

.PHONY: environment demo test slow check format lint typecheck docs fast clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[test,bench,dev,docs,cuda13]"
	touch $@

environment: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: format lint typecheck docs
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" -rs

# Long campaigns; docs/testing.md says which they are and how long they take.
slow: $(VENV)/.installed
	$(BIN)/python -m pytest $(PARALLEL) -m slow -rs

check: format lint typecheck fast

format: $(VENV)/.installed
	$(BIN)/ruff format --check .

lint: $(VENV)/.installed
	$(BIN)/ruff check .

# Type checkers cannot follow the package-dir mapping: they check a tree of links instead.
typecheck: $(VENV)/.installed
	PY=$(abspath $(BIN))/python sh tests/typecheck.sh

# The site, in build/site; any warning is a failure.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

fast: $(VENV)/.installed
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not jit"

clean:
	rm -rf $(VENV) .typecheck .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
