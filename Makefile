# Every target is `$(PYTHON) scripts/bootstrap.py <target>`, which also works where there is no make.
# Arguments for the tool: make test ARGS="-k floors". Another Python: make test PYTHON=python3.12.
PYTHON ?= python3
BOOTSTRAP = @$(PYTHON) scripts/bootstrap.py

.PHONY: help demo test lint types check fmt setup clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## watch the bundled model solve a 4×4 Sudoku, step by step
	$(BOOTSTRAP) demo $(ARGS)

test: ## run the tests
	$(BOOTSTRAP) test $(ARGS)

lint: ## ruff: lint and format, without changing a file
	$(BOOTSTRAP) lint $(ARGS)

types: ## mypy, strict
	$(BOOTSTRAP) types $(ARGS)

check: ## lint, types and tests: what CI runs
	$(BOOTSTRAP) check $(ARGS)

fmt: ## mend and format the code
	$(BOOTSTRAP) fmt $(ARGS)

setup: ## only make .venv ready; every target above does this first
	$(BOOTSTRAP) setup $(ARGS)

clean: ## remove .venv, builds and caches
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
