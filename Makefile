# Everything a clone needs sets itself up: `make test`, `make demo`.

# The oldest supported Python that is there serves both Airflow 3 and 2.11 (which ends at Python 3.12).
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))

VENV := .venv
VENV_211 := .venv-airflow-2.11
VENV_SYSTEM := .venv-system
VENV_DOCS := .venv-docs
VENV_BENCH := .venv-bench

AT_ONCE := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: help demo test lint types unit unit-2.11 docs test-system test-system-short bench bench-transfer clean

help: ## What there is to make
	@grep -hE '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.ready ## Run a nightly export in real Airflow against the bundled sandbox
	$(VENV)/bin/python demo/run.py

test: lint types unit unit-2.11 ## Lint, types, and the tests on the newest Airflow 3 and on 2.11

lint: $(VENV)/.ready ## ruff, format and lint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.ready ## mypy, strict
	$(VENV)/bin/mypy

unit: $(VENV)/.ready ## The tests on the newest Airflow 3
	$(VENV)/bin/pytest $(AT_ONCE)

unit-2.11: $(VENV_211)/.ready ## The tests on Airflow 2.11
	$(VENV_211)/bin/pytest $(AT_ONCE)

docs: $(VENV_DOCS)/.ready ## The documentation, in site/index.html
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/python -m mkdocs build --strict # -m: it imports the package from here, without Airflow

test-system: $(VENV_SYSTEM)/.ready ## Whatever dies: real Airflow processes on PostgreSQL, killed in many ways
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py tests/system/celery_workers.py

test-system-short: $(VENV_SYSTEM)/.ready ## Five of its scenarios
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py -m short

bench: $(VENV_BENCH)/.ready ## Thousands of waits on one triggerer, and what one would write instead
	for one in waiting end_to_end parsing synchronous; do $(VENV_BENCH)/bin/python benchmarks/$$one.py || exit; done

bench-transfer: $(VENV)/.ready ## Our transfer against curl and requests; BENCH="--help" for options
	$(VENV)/bin/python benchmarks/transfer.py $(BENCH)

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --group dev --editable . 'apache-airflow>=3.3'
	touch $@

$(VENV_211)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV_211)
	$(VENV_211)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV_211)/bin/uv pip install --quiet --python $(VENV_211)/bin/python --group test --editable . 'apache-airflow==2.11.*'
	touch $@

$(VENV_SYSTEM)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV_SYSTEM)
	$(VENV_SYSTEM)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV_SYSTEM)/bin/uv pip install --quiet --python $(VENV_SYSTEM)/bin/python --group system --editable . 'apache-airflow>=3.3'
	touch $@

$(VENV_BENCH)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV_BENCH)
	$(VENV_BENCH)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV_BENCH)/bin/uv pip install --quiet --python $(VENV_BENCH)/bin/python --group bench --editable . 'apache-airflow>=3.3'
	touch $@

$(VENV_DOCS)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV_DOCS)
	$(VENV_DOCS)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV_DOCS)/bin/uv pip install --quiet --python $(VENV_DOCS)/bin/python --group docs
	touch $@

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(VENV_211) $(VENV_SYSTEM) $(VENV_DOCS) $(VENV_BENCH) site .demo .mypy_cache .pytest_cache .ruff_cache
