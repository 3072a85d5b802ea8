# People's commands; `make help` lists them. Machines call `formcast`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --silent

PYTHON ?= python3
INPUT  ?= data/sample.csv
LAKE   ?= lake
PORT   ?= 8080
ROWS   ?= 1000000
LARGE  ?= 0
UV     ?= uv

# The sample's numbers were published then; forms of your own are newer, and may take its place.
ifeq ($(INPUT),data/sample.csv)
DATA_UNTIL ?= 2019-05-01T00:00:00Z
endif

# Values reach the commands through the environment: no blank or quote in a path can be misread by a shell.
export INPUT LAKE COLUMNS LAYOUT MODE DATA_UNTIL ALLOW_OLDER PUBLISH MAX_REJECT_FRACTION MAX_ROW_DROP WARN_ROW_DROP EXPECTED_ROWS BUDGET SUMMARY RUN_ID PORT ROWS LARGE FAMILIES DURATION BUCKET

.PHONY: help setup run test test-s3 infra-test extras test-extras airflow bench bench-models bench-scorer bench-api faults package deploy-code lock clean

help: ## this list
	grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: ## set up everything that `make run` needs; a second time it does nothing
	$(PYTHON) -m bootstrap $(if $(filter s3://%,$(LAKE) $(INPUT)),--also s3)

run: setup ## the whole nightly DAG in Airflow [INPUT= LAKE= COLUMNS= LAYOUT= MODE= BUDGET= SUMMARY= RUN_ID= ...]
	args=(--input "$$INPUT" --lake "$$LAKE"); \
	add() { if [[ -n "$$2" ]]; then args+=("$$1" "$$2"); fi; }; \
	add --columns "$${COLUMNS:-}"; add --layout "$${LAYOUT:-}"; add --mode "$${MODE:-}"; \
	add --data-until "$${DATA_UNTIL:-}"; \
	case "$${ALLOW_OLDER:-}" in 1|true|yes) args+=(--allow-older);; esac; \
	case "$${PUBLISH:-}" in 0|false|no) args+=(--no-publish);; esac; \
	add --max-reject-fraction "$${MAX_REJECT_FRACTION:-}"; add --max-row-drop "$${MAX_ROW_DROP:-}"; \
	add --warn-row-drop "$${WARN_ROW_DROP:-}"; add --expected-rows "$${EXPECTED_ROWS:-}"; \
	add --budget "$${BUDGET:-}"; add --summary "$${SUMMARY:-}"; add --run-id "$${RUN_ID:-}"; \
	exec .venv/bin/formcast nightly "$${args[@]}"

test: setup ## every check: style, types, imports, tests
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m pytest tests/unit tests/integration tests/infra/test_modules.py
	.venv-airflow/bin/python -m pytest tests/dags --confcutdir tests/dags

test-s3: setup ## nights on a lake in S3, against a stand-in for AWS (fetches 640 MB of jars once)
	$(PYTHON) -m bootstrap --also s3
	.venv/bin/python -m pytest tests/s3

infra-test: setup ## Terraform on a stand-in for AWS: format, rules, apply, destroy [TF_PLUGIN_DIR= for providers at hand]
	.venv/bin/python -m pytest tests/infra

extras: setup ## the packages of the model families dnn and xgboost, into .venv (PyTorch: some GB)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/extras.txt

test-extras: extras ## the families of `make extras`: fitted, exported, and scored alike
	FORMCAST_FAMILIES=dnn,xgboost .venv/bin/python -m pytest tests/integration/test_families.py -k scores_alike

airflow: setup ## a real Airflow with its UI on 127.0.0.1 [PORT=8080]
	exec $(PYTHON) -m bootstrap.serve --port "$$PORT"

bench: setup ## time each step beside DuckDB and scikit-learn [ROWS=1000000 LARGE=]
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	exec .venv/bin/python -m benchmarks --rows "$$ROWS" --large "$$LARGE"

bench-models: setup ## every model family beside scikit-learn and LightGBM [ROWS=1000000 FAMILIES=]
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	exec .venv/bin/python -m benchmarks.models --rows "$$ROWS" --families "$${FAMILIES:-}"

bench-scorer: setup ## the portable scorer alone and in Spark, on a million forms of a trained lake [LAKE=]
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	exec .venv/bin/python -m benchmarks.scorer --lake "$$LAKE" --rows "$$ROWS"

bench-api: setup ## the API under load, with wrk: rates, latencies, swaps, batches, memory [ROWS=1000000 DURATION=300]
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	exec .venv/bin/python -m benchmarks.api --rows "$$ROWS" --duration "$${DURATION:-300}"

lock: ## write the locks anew; needs uv (`pip install uv`), or its path as UV=
	lock() { out="$$1"; shift; $(UV) pip compile "$$@" --quiet --generate-hashes --no-header -o "requirements/$$out"; }; \
	here="--universal --python-version 3.11"; there="--python-platform x86_64-manylinux_2_28 --python-version"; \
	lock spark.txt pyproject.toml --extra test $$here; \
	lock serve.txt requirements/serve.in --constraints requirements/spark.txt $$here; \
	lock bench.txt pyproject.toml --extra test --extra bench $$here; \
	lock extras.txt pyproject.toml --extra test --extra bench --extra xgboost --extra dnn --constraints requirements/bench.txt $$here; \
	lock emr.txt requirements/emr.in --constraints requirements/spark.txt --no-emit-package pyspark --no-emit-package py4j $$there 3.11; \
	lock lambda.txt requirements/lambda.in --constraints requirements/spark.txt $$there 3.13; \
	lock airflow.txt requirements/airflow.in $$here

faults: setup ## kills, cuts and full disks at random moments, against an undisturbed twin [PLACE=s3 FAULTS=200 MINUTES=60 SEED=1]
	.venv/bin/python -m benchmarks.faults --place "$${PLACE:-folder}" --faults "$${FAULTS:-200}" \
		--minutes "$${MINUTES:-60}" --seed "$${SEED:-1}"

package: setup ## the code as EMR runs it, in dist/<version> [DIRTY=1: as the folder is, not its commit]
	.venv/bin/python -m package $(if $(DIRTY),--dirty) build

deploy-code: setup ## build it and upload it to S3, where a version never changes [BUCKET=name or name/prefix]
	.venv/bin/python -m package $(if $(DIRTY),--dirty) deploy "$$BUCKET"

clean: ## remove what set-up and tests made; tables and logs stay
	rm -rf .venv .venv-airflow .jars .airflow .setup .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
		.hypothesis build dist ./*.egg-info
