# make verify | test | lint | bench | docs: each makes the environment .venv first if it is missing (python3 -m venv and pip, nothing else).
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: verify test lint bench docs

verify: $(READY)  ## the catalogue at the quick budget; prints where the report lies
	$(BIN)/pgtheory verify --budget quick

test: $(READY)  ## the test suite, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY)  ## style, types, floors
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(READY)  ## ours and the peers that are installed, side by side
	$(BIN)/pgtheory bench policy-gradient

docs: $(READY)  ## the documentation, warnings are errors: docs/_build/html/index.html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html && echo "docs: docs/_build/html/index.html"

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pgtheory needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)
