# Every target installs what it needs into this folder, and nothing outside of it.
.DEFAULT_GOAL := help
.PHONY: help run up test unit check bench fuzz mutants chaos audit bootstrap plan deploy configure status reconcile replay redrive pause resume \
	destroy commands providers format clean

# The first Python on the PATH that runs and is 3.12. A pyenv shim may exist and still fail.
PYTHON ?= $(shell for python in python3.12 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2> /dev/null && echo "$$python" && break; done)
BIN := .venv/bin
SECONDS ?= 60
export PIP_CACHE_DIR := $(CURDIR)/.local/pip-cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/ready ## run the pipeline on this machine, with the samples
	@$(BIN)/python -m infra.ops local

up: .venv/ready ## the same, and keep it running until Ctrl-C
	@$(BIN)/python -m infra.ops local --keep

test: check ## style, types and all tests
	@$(BIN)/pytest

unit: .venv/ready ## tests of the extraction and of one upload; about a minute
	@$(BIN)/pytest tests/test_extraction.py tests/test_sorting.py tests/test_events.py tests/test_pipeline.py

check: .venv/ready ## style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: .local/bench-venv/ready ## benchmarks against other implementations; 20 minutes; PICTURE=yes draws the charts
	@.local/bench-venv/bin/python -m tests.benchmarks.benchmark $(if $(PICTURE),--picture)
	@.local/bench-venv/bin/python -m tests.benchmarks.whole $(if $(PICTURE),--picture)

fuzz: .venv/ready ## compare the extraction with a reference on broken documents: make fuzz SECONDS=600
	@$(BIN)/python -m tests.benchmarks.fuzz --seconds $(SECONDS)

mutants: .venv/ready .local/mutants-venv/ready ## change the code in many places: does a test fail? Hours; one module: MODULE=chalicelib/answer.py
	@.local/mutants-venv/bin/python -m tests.mutants $(MODULE)

chaos: .venv/ready ## races, memory, load, bad requests, faults: make chaos SECONDS=600 takes 40 minutes
	@$(BIN)/python -m tests.chaos.schedules
	@$(BIN)/python -m tests.chaos.memory
	@$(BIN)/python -m tests.chaos.load
	@LONG=yes $(BIN)/pytest -n0 tests/test_account.py -k "deployed_stage_works or to_the_queue_and_back"
	@$(BIN)/python -m tests.chaos.load --ingest queue
	@$(BIN)/python -m tests.hammer --seconds $(SECONDS)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS)

audit: .venv/ready .local/audit-venv/ready ## static security checks of infra/ and its policies
	@.local/audit-venv/bin/checkov --directory infra --framework terraform --skip-download --quiet --compact
	@$(BIN)/python -m tests.rendering > .local/policies.json
	@.local/audit-venv/bin/python -W ignore tests/audit.py < .local/policies.json

bootstrap: .venv/ready ## prepare an AWS account, and the roles of GitHub Actions: make bootstrap STAGE=dev
	@$(BIN)/python -m infra.ops bootstrap --stage=$(STAGE)

plan: .venv/ready ## show what `make deploy` would change in infra/: make plan STAGE=dev
	@$(BIN)/python -m infra.ops plan --stage=$(STAGE)

deploy: .venv/ready ## deploy a stage to AWS: make deploy STAGE=dev
	@$(BIN)/python -m infra.ops deploy --stage=$(STAGE)

configure: .venv/ready ## prepare this machine for `chalice deploy`: make configure STAGE=dev
	@$(BIN)/python -m infra.ops configure --stage=$(STAGE)

status: .venv/ready ## state of a stage, and what to do next: make status STAGE=dev
	@$(BIN)/python -m infra.ops status --stage=$(STAGE)

reconcile: .venv/ready ## find uploads that are not published: make reconcile STAGE=dev
	@$(BIN)/python -m infra.ops reconcile --stage=$(STAGE)

replay: .venv/ready ## publish uploads that are not published: make replay STAGE=dev
	@$(BIN)/python -m infra.ops replay --stage=$(STAGE)

redrive: .venv/ready ## retry the events in the failure queue: make redrive STAGE=dev
	@$(BIN)/python -m infra.ops redrive --stage=$(STAGE)

pause: .venv/ready ## stop publishing; uploads wait: make pause STAGE=dev
	@$(BIN)/python -m infra.ops pause --stage=$(STAGE)

resume: .venv/ready ## publish again: make resume STAGE=dev
	@$(BIN)/python -m infra.ops resume --stage=$(STAGE)

destroy: .venv/ready ## remove a stage from AWS: make destroy STAGE=dev
	@$(BIN)/python -m infra.ops destroy --stage=$(STAGE)

commands: .venv/ready ## write the --help of all commands to infra/COMMANDS.md
	@$(BIN)/python -m infra.ops commands > infra/COMMANDS.md

providers: ## download the AWS provider once, to where Terraform looks first
	@mkdir -p $(HOME)/.terraform.d/plugins
	@terraform -chdir=infra/operations providers mirror -platform=linux_amd64 $(HOME)/.terraform.d/plugins

format: .venv/ready ## fix formatting and what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@if command -v terraform > /dev/null; then terraform fmt -recursive infra; else echo "No terraform here: infra/**/*.tf are not formatted."; fi

clean: ## remove everything that make created
	rm -rf .venv .local vendor .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/ready: requirements.txt requirements-dev.txt requirements-local.txt
	@test -n "$(PYTHON)" || { echo "Python 3.12 is needed, as in Lambda. None of python3.12, python3 and python runs it."; \
		echo "Install it (with pyenv: pyenv install 3.12), or say where it is: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up .venv (the first time takes a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(PYTHON) -m venv --clear .local/cloud-venv
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	@.local/cloud-venv/bin/pip install --quiet -r requirements-local.txt
	@touch $@

.local/mutants-venv/ready: requirements.txt requirements-dev.txt
.local/%-venv/ready: requirements-%.txt
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet -r $<
	@touch $@
