# What to do with this checkout, one word each. `make help` lists them; README.md needs two: demo and test.
#
#   make test ARGS="tests/unit -k digest"     run some tests
#   make lock UPGRADE=1                       newest versions instead of the ones that still fit

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

bin := .venv/bin
python := $(bin)/python
# Folders with Python in them; one that is not there yet is not asked for.
code := $(wildcard entrenar_research nix scripts benchmarks experiments templates tests)
typed := $(wildcard entrenar_research nix/*.py nix/tool/*.py scripts/*.py benchmarks tests)

# One more than there are processors: a third of their time tests wait for programs and disks. What the tests of a file
# have in common is made once if one worker does the whole file.
workers := $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 8 ] || n=7; echo $$((n + 1)))

.PHONY: help setup demo test check lint format types layers docs fix bench lock clean pristine

help: ## List what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what is missing: system programs, .venv, .venv-oracles
	@scripts/setup

demo: setup ## Make a study, run it, and check it as a stranger would
	@$(python) scripts/demo.py

test: setup ## Run the tests (ARGS="..." is handed to pytest)
	@$(bin)/pytest -n $(workers) --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint format types layers docs ## Lint, format, types, layers and docs

lint: setup ## Look for mistakes with ruff, and in shell scripts with shellcheck where it is installed
	@$(bin)/ruff check --output-format concise $(code)
	@scripts/check-shell

format: setup ## Tell what is not formatted (make fix mends it)
	@$(bin)/ruff format --check --output-format concise $(code)

types: setup ## Check the types
	@$(bin)/mypy $(typed)
	@scripts/check-standalone-types experiments templates

layers: setup ## Check who imports whom
	@$(bin)/lint-imports --no-logo --cache-dir .import_linter_cache

docs: setup ## Check that what the documents point at is there
	@$(python) scripts/check_docs.py
	@$(python) scripts/help_blocks.py

fix: setup ## Mend formatting and what ruff can mend by itself
	@$(bin)/ruff check --fix $(code)
	@$(bin)/ruff format $(code)
	@$(python) scripts/help_blocks.py --write

bench: setup ## Measure, against peers where they are installed
	@$(python) benchmarks/run.py $(ARGS)

lock: setup ## Write requirements/*.txt anew (UPGRADE=1: newest versions)
	@scripts/lock $(if $(UPGRADE),--upgrade)

clean: ## Remove caches and build output
	rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

pristine: clean ## Remove the environments too, so that the next setup starts from nothing
	rm -rf .venv .venv-oracles .venv-setup
