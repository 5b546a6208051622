# Everything a clone needs sets itself up: `make test`, `make demo`.

# The oldest supported Python that is there serves both Airflow 3 and 2.11 (which ends at Python 3.12).
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))

VENV := .venv
UNITS := unit-2.11 unit-3.0 unit-3.1 unit-3.2
VENV_SYSTEM := .venv-system
VENV_DOCS := .venv-docs
VENV_BENCH := .venv-bench

PARALLEL := --numprocesses 4 --dist worksteal

.PHONY: help demo test lint types unit $(UNITS) test-matrix docs test-system test-system-short test-ui bench bench-transfer clean

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
	$(VENV)/bin/pytest $(PARALLEL)

unit-2.11: ## The tests on Airflow 2.11

$(UNITS): unit-%: .venv-airflow-%/.ready
	.venv-airflow-$*/bin/pytest $(PARALLEL)

test-matrix: $(UNITS) ## The tests on all older Airflows: 2.11, 3.0, 3.1 and 3.2

docs: $(VENV_DOCS)/.ready ## The documentation, in site/index.html
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/python -m mkdocs build --strict # -m: it imports the package from here, without Airflow

test-system: $(VENV_SYSTEM)/.ready ## Whatever dies: real Airflow processes on PostgreSQL, killed in many ways
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py tests/system/celery_workers.py

test-system-short: $(VENV_SYSTEM)/.ready ## Five of its scenarios
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py -m short

test-ui: $(VENV_SYSTEM)/.ready ## The Connection's form in a real browser; takes the pictures of the docs
	$(VENV_SYSTEM)/bin/pytest tests/system/connection_form.py

bench: $(VENV_BENCH)/.ready ## Thousands of waits on one triggerer, and what one would write instead
	for one in waiting end_to_end parsing synchronous; do $(VENV_BENCH)/bin/python benchmarks/$$one.py || exit; done

bench-transfer: $(VENV)/.ready ## Our transfer against curl and requests; BENCH="--help" for options
	$(VENV)/bin/python benchmarks/transfer.py $(BENCH)

# $(call make-venv,DEPENDENCY GROUP,WHAT ELSE TO INSTALL)
define make-venv
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(@D)/bin/uv pip install --quiet --python $(@D)/bin/python --group $(1) $(2)
	touch $@
endef

NEWEST := --editable . 'apache-airflow>=3.3'

# Each older Airflow with the libraries of its own days, those of its last release: later ones break it.
WITH_2.11 := --exclude-newer 2026-03-15
WITH_3.0 := --exclude-newer 2025-08-30
WITH_3.1 := --exclude-newer 2026-03-12
WITH_3.2 := --exclude-newer 2026-05-30

# What the package itself needs is younger than 3.0, which alone shows no form (its own image has the FAB provider).
WITH_3.0 += --exclude-newer-package apache-airflow-providers-common-compat=2026-01-18 apache-airflow-providers-fab

$(VENV)/.ready: pyproject.toml
	$(call make-venv,dev,$(NEWEST))

.PRECIOUS: .venv-airflow-%/.ready
.venv-airflow-%/.ready: pyproject.toml
	$(call make-venv,test,--editable . 'apache-airflow==$*.*' $(WITH_$*))

$(VENV_SYSTEM)/.ready: pyproject.toml
	$(call make-venv,system,$(NEWEST))

$(VENV_BENCH)/.ready: pyproject.toml
	$(call make-venv,bench,$(NEWEST))

$(VENV_DOCS)/.ready: pyproject.toml
	$(call make-venv,docs)

clean: ## Remove what the other targets made
	rm -rf $(VENV) .venv-airflow-* $(VENV_SYSTEM) $(VENV_DOCS) $(VENV_BENCH) site .demo .mypy_cache .pytest_cache .ruff_cache
