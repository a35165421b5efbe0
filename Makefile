# Perennial. `make help` lists what there is.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Everything that is built or downloaded lies here, outside the tree, keyed by what it was made from.
CACHE ?= $(or $(PERENNIAL_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/perennial)
PYTHON_FOR_VENV ?= python3
VENV := $(CACHE)/venv-$(shell cat pyproject.toml requirements/dev.txt 2>/dev/null | sha256sum | cut -c1-12)
PY := $(VENV)/bin/python
export PERENNIAL_CACHE := $(CACHE)
export PYTHONPATH := $(CURDIR)/operator

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv python
venv: $(VENV)/.ready ## Make the Python environment (outside the tree)

$(VENV)/.ready:
	@echo "== Python environment: $(VENV)"
	$(PYTHON_FOR_VENV) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check uv
	if [ -f requirements/dev.txt ]; then $(VENV)/bin/uv pip sync -q --python $(PY) --require-hashes requirements/dev.txt; \
	else $(VENV)/bin/uv pip install -q --python $(PY) -r pyproject.toml --extra dev; fi
	touch $@

python: venv
	@echo $(PY)
