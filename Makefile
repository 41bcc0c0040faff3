PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
ADDR   ?= 127.0.0.1:8000

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test chaos bench lint format page golden proto setup

help: ## List the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: ## Install with pip alone, start the Todo example and print its address (ADDR=127.0.0.1:8000)
	@scripts/setup --run
	@cd examples/todo && python manage.py prepare_demo && python manage.py runcentrifugo $(ADDR) --noreload

test: ## Install everything that the tests need, then run them (ARGS="-k name" to choose)
	@scripts/setup --test
	@python -m pytest $(ARGS)

chaos: ## The long fault suite; prints its seed (CHAOS_SEED=N repeats a run, ARGS="grpc.ledger --commands 1000" chooses)
	@scripts/setup --test
	@python -m tests.chaos $(ARGS)

bench: ## Measure speed against a floor in the same run (ARGS="redis_rpc" to choose)
	@scripts/setup --test
	@python -m benchmarks $(ARGS)

lint: ## Ruff, mypy --strict and pyright
	@scripts/setup --test
	@python -m ruff check . && python -m ruff format --check . && python -m mypy && python -m pyright

format: ## Rewrite the Python code in the project's format
	@python -m ruff check --fix . ; python -m ruff format .

page: ## Rebuild the example's clients and its page
	@scripts/setup --test
	@cd examples/todo && python manage.py generate_centrifugo_clients -o clients --all
	@scripts/build-page

golden: ## Rewrite the golden directories of the generator
	@python -m tests.golden_update

proto: ## Rewrite the Python code of the .proto files (ARGS=--check to compare only)
	@scripts/proto $(ARGS)
