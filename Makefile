# Perennial. `make help` lists what there is.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Everything that is built or downloaded lies here, outside the tree, keyed by what it was made from.
CACHE ?= $(or $(PERENNIAL_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/perennial)
PYTHON_FOR_VENV ?= python3
VENV := $(CACHE)/venv-$(shell { cat requirements/dev.txt 2>/dev/null || cat pyproject.toml; } | sha256sum | cut -c1-12)
PY := $(VENV)/bin/python
export PERENNIAL_CACHE := $(CACHE)
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)
# Hundreds of processes are started: where they may not keep what they compiled, most of each start goes into compiling.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv python
venv: $(VENV)/.compiled ## Make the Python environment (outside the tree)

$(VENV)/.compiled:
	@echo "== Python environment (a minute, once): $(VENV)" >&2
	$(PYTHON_FOR_VENV) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check uv
	if [ -f requirements/dev.txt ]; then $(VENV)/bin/uv pip sync -q --compile-bytecode --python $(PY) --require-hashes requirements/dev.txt; \
	else $(VENV)/bin/uv pip install -q --compile-bytecode --python $(PY) -r pyproject.toml --extra dev; fi
	touch $@

python: venv
	@echo $(PY)

# Everything that is to be run: `make unit ARGS="-k schedule"`, `make lint CHECKS="ruff mypy"`.
ARGS ?=
CHECKS ?=
# Test files run beside each other, each lane with servers of its own: most of the time they wait.
LANES ?= -n 2 --dist loadfile
WIDE ?= -n 3 --dist loadfile
KUBERNETES ?= 1.34
# The chart with its policies, the loop with the chart's rights, and what is dropped, on the oldest: its server is that of 1.34.
SLICE := $(patsubst %,tests/apiserver/test_%.py,rights policies dropped_fields)
VERSIONS ?= 1.31
STAGES := lint unit apiserver versions proofs e2e
# The servers that tests start have memory to spare: a fifth of all CPU went into collecting it. What is measured has none
# of that.
apiserver versions proofs prove mutants e2e: export GOGC := 400

.PHONY: test
test: venv ## Run everything that CI runs, and install what that needs
	@begun=$$SECONDS
	for stage in $(STAGES); do
	  started=$$SECONDS
	  echo "== $$stage"
	  $(MAKE) --no-print-directory $$stage || { echo "== $$stage: FAILED after $$((SECONDS - started)) s"; exit 1; }
	  echo "== $$stage: passed in $$((SECONDS - started)) s"
	done
	echo "== all passed in $$((SECONDS - begun)) s"

.PHONY: lint format generate
lint: venv ## Check the tree: style, types, imports, drift, manifests, values, chart (CHECKS="name ...")
	@$(PY) -m scripts.lint $(CHECKS)

format: venv ## Put the Python code into its form
	@$(VENV)/bin/ruff check --quiet --fix-only .
	$(VENV)/bin/ruff format --quiet .

generate: venv ## Write what is made from the typed models: crds/ and the chart's copy
	@$(PY) scripts/generate.py

.PHONY: unit apiserver versions e2e proofs prove mutants bench
unit: venv ## Run the unit tests (ARGS for pytest)
	@$(PY) -m pytest tests/unit $(LANES) $(ARGS)

apiserver: export PERENNIAL_KUBERNETES := $(KUBERNETES)
apiserver: venv ## Run the tests against a real etcd and kube-apiserver (KUBERNETES=1.31 ... 1.36; ARGS for pytest)
	@$(PY) -m pytest tests/apiserver $(WIDE) $(ARGS)

versions: venv ## Run a part of these on other versions (VERSIONS="1.31 1.36"; ARGS for pytest)
	@for version in $(VERSIONS); do
	  echo "-- Kubernetes $$version"
	  PERENNIAL_KUBERNETES=$$version $(PY) -m pytest $(SLICE) $(LANES) $(ARGS)
	done

e2e: venv ## Run the tests on a real cluster, with real pods (ARGS for pytest)
	@$(PY) -m e2e $(ARGS)

proofs: venv ## Run the slice of each proof that fits CI, those on the real cluster apart (ARGS for pytest)
	@$(PY) -m pytest tests/prove --durations=5 $(WIDE) $(ARGS)

# Everything runs, whatever fails before it; the table says what did. What the rights are for shows only in a whole run on
# the cluster. Reordered, the files that take longest would come last: they have few tests. See tests/prove/conftest.py.
prove: export PERENNIAL_PROVE := full
prove: export PERENNIAL_PROOFS := $(CACHE)/proofs-$(shell date +%s).jsonl
prove: venv ## Run every proof in full (two hours), and print one table with counts
	@mkdir -p $(CACHE)
	failed=0
	$(PY) -m pytest tests/prove tests/apiserver -m "proof and not alone" -vv --durations=10 \
	  $(LANES) --no-loadscope-reorder $(ARGS) || failed=1
	$(PY) -m pytest tests/prove -m alone -vv $(ARGS) || failed=1
	$(PY) -m e2e $(ARGS) || failed=1
	$(PY) -m tests.mutants || failed=1
	$(PY) -m tests.prove.report $(PERENNIAL_PROOFS)
	exit $$failed

mutants: venv ## Seed known bug patterns one at a time, and show which test catches each (ARGS: names)
	@$(PY) -m tests.mutants $(ARGS)

bench: venv ## Measure against a real API server, and print a table
	@$(PY) -m tests.bench $(ARGS)

.PHONY: bench-policies
bench-policies: venv ## Measure 1,000 policies that ask Prometheus, what crosses, and how many samples are taken
	@$(PY) -m tests.bench.policies $(ARGS)

.PHONY: bench-servers
bench-servers: venv ## Measure the bundled server beside MLflow's own, on the same model
	@$(PY) -m tests.bench.servers

.PHONY: quality
quality: venv ## Measure how good decisions are where the truth is known, and print the tables of the docs (ARGS="drift": one of them)
	@$(PY) -m tests.quality $(ARGS)

.PHONY: soak
soak: venv ## Let trainings, rollouts and runs come and go for an hour, and print what grew (ARGS="--seconds 600")
	@$(PY) -m tests.bench.soak $(ARGS)

.PHONY: outputs
outputs: venv ## Write docs/outputs.md: what kubectl says of each kind at each turn, played on an API server
	@$(PY) -m tests.outputs

.PHONY: profile
profile: venv ## Show where the operator's CPU goes in a burst (ARGS="--size 1000 --raw FILE")
	@$(PY) -m tests.bench.profile $(ARGS)

.PHONY: demo
demo: venv ## Play the loop on a cluster of its own, which is left up
	@$(PY) -m e2e.demo

.PHONY: demo-kubeconfig
demo-kubeconfig: venv ## Print the path of the demo's kubeconfig
	@$(CLUSTER_CLI) kubeconfig --name perennial-demo

.PHONY: clean
clean: ## Remove what tools leave in the tree (what is built lies outside: see CACHE)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The images hold exactly the versions that the tests ran with: dev's lock constrains every other one. `make lock LOCKFLAGS=-U` takes newer ones.
LOCK = $(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate

.PHONY: lock
lock: venv ## Write the locked requirements of the images and of the development environment
	$(LOCK) $(LOCKFLAGS) pyproject.toml --extra dev -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/operator.txt
	for extra in agent server "agent drift"; do
	  $(PY) requirements/extra.py $$extra | $(LOCK) -c requirements/dev.txt - -o requirements/$${extra##* }.txt
	done
	for image in digits envoy frameworks mlflow; do
	  $(LOCK) -c requirements/dev.txt requirements/$$image.in -o requirements/$$image.txt
	done

.PHONY: dependencies
dependencies: venv ## Write docs/dependencies.md: what the images hold, their sizes, licences and ages
	@$(PY) -m scripts.dependencies

include e2e/cluster/cluster.mk
