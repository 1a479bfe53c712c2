# Two commands matter: `make run` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run check test test-long lint format bench clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: $(VENV)/.run ## set up everything and serve the application
	@exec $(BIN)/python manage.py serve

check: lint ## lint, types and the quick tests (minutes)
	@$(BIN)/python -m pytest --numprocesses 2 -m "not application and not slow and not long"

test: lint ## set up everything and run every check and test, but for the long ones
	@$(BIN)/python -m harness.chromium
	@$(BIN)/python -m harness.nginx
	@$(BIN)/python -m pytest --numprocesses 2 -m "not long"

test-long: $(VENV)/.long ## the long tests, and all properties with many more examples
	@$(BIN)/python -m pytest --numprocesses 2 -m "long or hypothesis" --hypothesis-profile long

lint: $(VENV)/.dev ## style, types, import rules, settings and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.import_cycles
	$(BIN)/python -m tests.deploy_check

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure speed and memory beside peers (ARGS="--images 1000" for a quick one)
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environment and caches; var/ (your data) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "PYTHON: there is no interpreter '$(PYTHON)'; set PYTHON to a Python 3.11 or later."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON: '$(PYTHON)' is older than Python 3.11; set PYTHON to a later one."; exit 1; }
	@echo "Making the virtual environment $(VENV) …"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt requirements/text.txt requirements/constraints.txt
	@echo "Installing what the application runs on (about 2 GB on disk, once; minutes on a slow line) …"
	@$(PIP) -r requirements/run.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt requirements/ray.txt
	@echo "Installing what the tests need …"
	@$(PIP) -r requirements/dev.txt
	@touch $@

$(VENV)/.long: $(VENV)/.dev requirements/long.txt
	@echo "Installing what the long tests need …"
	@$(PIP) -r requirements/long.txt
	@touch $@
