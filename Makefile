# Every command sets up what it needs first. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow acceptance mutation check lint types imports format lock bench clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install the locked dependencies

$(STAMP): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("AlgoTrendy needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.11 or newer.") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## start the desk: paper account, generated prices, rules model, API on http://127.0.0.1:8000; Ctrl-C stops
	@$(BIN)/algotrendy serve

test: check ## lint, types, import rules, the whole test suite, and the gate that the rules model must pass
	@$(BIN)/pytest -n $$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)') --dist loadfile --no-loadscope-reorder
	@home=$$(mktemp -d) && $(BIN)/algotrendy --home $$home eval --gate; status=$$?; rm -rf $$home; exit $$status

test-slow: setup ## the minutes-long suites: years of real data, kill tests at every step
	@$(BIN)/pytest -m slow -n auto --hypothesis-profile search

acceptance: setup ## every case of an account at a venue, at the paper exchange and six local venues: a table
	@$(BIN)/python -m tests.acceptance

mutation: setup ## change the gate and the order table in small ways and list what no test notices (an hour)
	@$(BIN)/python -m tests.mutation

check: lint types imports ## lint, types and import rules

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

imports: setup
	@$(BIN)/lint-imports --no-cache

format: setup ## let ruff format and fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## renew requirements.lock from pyproject.toml
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group dev --all-extras pyproject.toml -o requirements.lock

bench: setup ## what a decision costs, and how fast the gate and the desk are
	@$(BIN)/python benchmarks/decision.py
	@$(BIN)/python benchmarks/desk.py
	@$(BIN)/python benchmarks/persistence.py --orders 20000
	@$(BIN)/python benchmarks/timeseries.py --rows 200000
	@$(BIN)/python benchmarks/sentiment.py
	@$(BIN)/python benchmarks/venue_latency.py
	@$(BIN)/python benchmarks/api.py --quick

clean: ## remove .venv, caches and the default data folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .algotrendy
