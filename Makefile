# One command each; every one sets up what it needs inside this folder, nothing outside it.
.DEFAULT_GOAL := help
.PHONY: help run up test unit check bench fuzz mutants chaos audit bootstrap plan deploy configure status reconcile replay redrive pause resume \
	destroy commands providers format clean

# The first that really runs and is 3.12: a shim of pyenv may be on the PATH and fail.
PYTHON ?= $(shell for python in python3.12 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2> /dev/null && echo "$$python" && break; done)
BIN := .venv/bin
SECONDS ?= 60
export PIP_CACHE_DIR := $(CURDIR)/.local/pip-cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/ready ## the whole pipeline on this machine, on the samples
	@$(BIN)/python -m infra.ops local

up: .venv/ready ## the same, left running until Ctrl-C
	@$(BIN)/python -m infra.ops local --keep

test: check ## every check: style, types, tests
	@$(BIN)/pytest

unit: .venv/ready ## the tests of the core and of one upload, in a minute
	@$(BIN)/pytest tests/test_extraction.py tests/test_sorting.py tests/test_events.py tests/test_pipeline.py

check: .venv/ready ## style and types: what `make test` looks at first
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: .local/bench-venv/ready ## beside other ways to do it: the extraction, the function; 20 minutes; PICTURE=yes draws
	@.local/bench-venv/bin/python -m tests.benchmarks.benchmark $(if $(PICTURE),--picture)
	@.local/bench-venv/bin/python -m tests.benchmarks.whole $(if $(PICTURE),--picture)

fuzz: .venv/ready ## the extraction against a reference, on broken documents: make fuzz SECONDS=600
	@$(BIN)/python -m tests.benchmarks.fuzz --seconds $(SECONDS)

mutants: .venv/ready .local/mutants-venv/ready ## change the code place by place: does a test fail? hours; one module: MODULE=chalicelib/answer.py
	@.local/mutants-venv/bin/python -m tests.mutants $(MODULE)

chaos: .venv/ready ## races, memory, load, bad requests, faults: make chaos SECONDS=600 takes 20 minutes and as much again
	@$(BIN)/python -m tests.chaos.schedules
	@$(BIN)/python -m tests.chaos.memory
	@$(BIN)/python -m tests.chaos.load
	@LONG=yes $(BIN)/pytest -n0 tests/test_account.py -k "deployed_stage_works or to_the_queue_and_back or nothing_behind"
	@$(BIN)/python -m tests.chaos.load --ingest queue
	@$(BIN)/python -m tests.hammer --seconds $(SECONDS)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS)

audit: .venv/ready .local/audit-venv/ready ## look for what is unsafe in infra/, and wrong in a policy
	@.local/audit-venv/bin/checkov --directory infra --framework terraform --skip-download --quiet --compact
	@$(BIN)/python -m tests.rendering > .local/policies.json
	@.local/audit-venv/bin/python -W ignore tests/audit.py < .local/policies.json

bootstrap: .venv/ready ## what an AWS account needs once; the roles of GitHub Actions, too: make bootstrap STAGE=dev
	@$(BIN)/python -m infra.ops bootstrap --stage=$(STAGE)

plan: .venv/ready ## what deploying would change in infra/: make plan STAGE=dev
	@$(BIN)/python -m infra.ops plan --stage=$(STAGE)

deploy: .venv/ready ## a stage in AWS: make deploy STAGE=dev
	@$(BIN)/python -m infra.ops deploy --stage=$(STAGE)

configure: .venv/ready ## this machine made ready for `chalice deploy` of a stage: make configure STAGE=dev
	@$(BIN)/python -m infra.ops configure --stage=$(STAGE)

status: .venv/ready ## a stage on one screen, and what is to be done: make status STAGE=dev
	@$(BIN)/python -m infra.ops status --stage=$(STAGE)

reconcile: .venv/ready ## which uploads are not published, and why: make reconcile STAGE=dev
	@$(BIN)/python -m infra.ops reconcile --stage=$(STAGE)

replay: .venv/ready ## publish what is not: make replay STAGE=dev
	@$(BIN)/python -m infra.ops replay --stage=$(STAGE)

redrive: .venv/ready ## try again what waits in the failure queue: make redrive STAGE=dev
	@$(BIN)/python -m infra.ops redrive --stage=$(STAGE)

pause: .venv/ready ## publish nothing from now on; uploads wait: make pause STAGE=dev
	@$(BIN)/python -m infra.ops pause --stage=$(STAGE)

resume: .venv/ready ## publish again: make resume STAGE=dev
	@$(BIN)/python -m infra.ops resume --stage=$(STAGE)

destroy: .venv/ready ## the stage back to nothing: make destroy STAGE=dev
	@$(BIN)/python -m infra.ops destroy --stage=$(STAGE)

commands: .venv/ready ## every command's --help, written to infra/COMMANDS.md
	@$(BIN)/python -m infra.ops commands > infra/COMMANDS.md

providers: ## keep the AWS provider where Terraform looks first, to be fetched but once
	@mkdir -p $(HOME)/.terraform.d/plugins
	@terraform -chdir=infra/operations providers mirror -platform=linux_amd64 $(HOME)/.terraform.d/plugins

format: .venv/ready ## mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@if command -v terraform > /dev/null; then terraform fmt -recursive infra; else echo "No terraform here: infra/**/*.tf are as they were."; fi

clean: ## remove everything that make made
	rm -rf .venv .local vendor .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/ready: requirements.txt requirements-dev.txt requirements-local.txt
	@test -n "$(PYTHON)" || { echo "Python 3.12 is needed, as in Lambda, and none of python3.12, python3 and python is one that runs."; \
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
