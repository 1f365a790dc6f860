# Golden Goose. `make` lists what there is; every target does its own set-up and is quick when all is there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis

PYTEST := $(BIN)/python -m pytest
SCENARIOS := $(sort $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

.PHONY: help
help:  ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup:  ## Debian packages and the virtual environment; the other targets do this themselves
	@tools/setup.sh $(PYTHON) $(VENV)

.PHONY: demo
demo: setup  ## Build the infrastructure, promote service-a, leave its evidence package (ARGS="-e …" is passed on)
	@$(BIN)/python tools/demo.py $(ARGS)

.PHONY: teardown
teardown: setup  ## Remove all of it but the ledger, its backup and the packages (PURGE=true: these too)
	@$(BIN)/ansible-playbook playbooks/teardown.yml -e purge=$(or $(PURGE),false) $(ARGS)

.PHONY: test
test: unit integration e2e molecule  ## All tests

.PHONY: unit
unit: setup  ## Ledger, engine and everything else that needs no server
	$(PYTEST) tests/unit services --cov --cov-report=term:skip-covered --cov-fail-under=80 $(ARGS)

.PHONY: binaries
binaries: setup  ## Build Kubernetes and CoreDNS into the cache, once
	@$(BIN)/ansible-playbook tests/prepare.yml

.PHONY: integration
integration: setup binaries  ## Modules against a real OpenBao, Prometheus and API server
	$(PYTEST) tests/integration $(ARGS)

.PHONY: e2e
e2e: setup binaries  ## Playbooks on an instance of their own, in a network namespace
	$(PYTEST) tests/e2e $(ARGS)

.PHONY: molecule
molecule: setup  ## Roles on systemd containers
	@for scenario in $(SCENARIOS); do echo "== molecule $$scenario"; $(BIN)/molecule test -s $$scenario; done

.PHONY: fuzz
fuzz: setup  ## Parser, verifier and repair against made-up bytes, SECONDS_EACH=20
	@for target in parser shapes verifier segments; do $(BIN)/python tests/fuzz $$target -max_total_time=$(or $(SECONDS_EACH),20); done

.PHONY: bench
bench: setup binaries  ## Speed of ledger, planning and promotion (a set of SERVICES=100); kept in .cache/bench
	GOLDEN_GOOSE_STRESS_SECONDS=60 $(PYTEST) tests/integration/test_ledger_faults.py -k many_processes
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.promotion_planning
	$(BIN)/python -m bench.promotion $(or $(SERVICES),100)

.PHONY: lint
lint: setup  ## ruff, mypy, yamllint, ansible-lint (production), ansible-test sanity
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy plugins/module_utils
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline
	tools/sanity.sh

.PHONY: build
build: setup  ## The collection as a tarball in .cache/build
	@mkdir -p .cache/build
	$(BIN)/ansible-galaxy collection build --force --output-path .cache/build

.PHONY: lock
lock: setup  ## Fix the versions of all Python packages anew from requirements*.in
	$(BIN)/uv pip compile --quiet --python-version 3.11 --no-emit-index-url --no-header --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile --quiet --python-version 3.11 --no-emit-index-url --no-header --constraints requirements.txt --output-file requirements-dev.txt requirements-dev.in
