# Everything a clone needs sets itself up: `make test`, `make demo`.

# One that runs every supported Airflow, where there is one: Airflow 2.11 ends at Python 3.12.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(name))))

# uv verifies TLS with its own certificates unless it is set to use the machine's, as pip does.
export UV_SYSTEM_CERTS := 1

# npm does so if it is given them: those of Debian and Ubuntu, or of Fedora and RHEL.
export NODE_EXTRA_CA_CERTS ?= $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))

# Where this is set, as in many images, each process compiles Airflow again, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
VENV_2.11 := .venv-airflow-2.11
VENV_DEMO := .venv-demo
VENV_SYSTEM := .venv-system
VENV_DOCS := .venv-docs
VENV_BENCH := .venv-bench
VENV_NOX := .venv-nox
VENV_STORES := .venv-stores
VENV_READING := .venv-reading
VENV_MUTANTS := .venv-mutants

PARALLEL := --numprocesses 4 --dist worksteal

.PHONY: help demo test lint types unit unit-2.11 test-stores test-reading test-matrix test-extras test-lowest dist test-dist docs test-system test-system-short test-ui fuzz bench bench-faults bench-transfer bench-formats mutants clean

help: ## What there is to make
	@grep -hE '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV_DEMO)/.ready ## Run a nightly export in real Airflow against the bundled sandbox
	$(VENV_DEMO)/bin/python demo/run.py

test: $(VENV_2.11)/.ready lint types unit unit-2.11 ## Lint, types, and the tests on the newest Airflow 3 and on 2.11

lint: $(VENV)/.ready ## ruff, format and lint, and the words of docs/words.py
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python docs/words.py

types: $(VENV)/.ready ## mypy, strict
	$(VENV)/bin/mypy

unit: $(VENV)/.ready ## The tests on the newest Airflow 3
	$(VENV)/bin/pytest $(PARALLEL)

unit-2.11: $(VENV_2.11)/.ready ## The tests on Airflow 2.11.0, with its constraints
	$(VENV_2.11)/bin/pytest $(PARALLEL)

test-stores: $(VENV_STORES)/.ready ## Every store, or its emulator: the table in docs/files.md. Azure needs Node.js, SFTP sshd, SMB smbd
	$(VENV_STORES)/bin/pytest tests/stores/test_every_store.py tests/stores/test_gcs.py tests/stores/test_sftp.py tests/stores/test_smb.py --numprocesses 2 --dist worksteal

test-reading: $(VENV_READING)/.ready ## What pandas, Polars, DuckDB, Spark and others make of the files: docs/reading.md
	$(VENV_READING)/bin/python -m tests.reading.read_back # -m: it imports the package from here, without Airflow

test-matrix: $(VENV_NOX)/.ready ## The tests on every supported Airflow and Python; the table in docs/versions.md
	$(VENV_NOX)/bin/nox --sessions tests report

test-extras: $(VENV_NOX)/.ready ## Each extra, under the constraints of the oldest and the newest Airflow
	$(VENV_NOX)/bin/nox --sessions extras

test-lowest: $(VENV_NOX)/.ready ## The tests with the oldest version of everything that pyproject.toml admits
	$(VENV_NOX)/bin/nox --sessions tests --tags lowest

dist: $(VENV_NOX)/.ready ## Wheel and source distribution in dist/, checked
	rm -rf dist
	$(VENV_NOX)/bin/uv build --quiet --python $(PYTHON)
	$(VENV_NOX)/bin/twine check --strict dist/*
	$(VENV_NOX)/bin/python .ci/check_dist.py

test-dist: dist ## The wheel, alone in new environments at both ends of the matrix, runs the demo
	$(VENV_NOX)/bin/nox --sessions wheel

docs: $(VENV_DOCS)/.ready ## The documentation, in site/index.html
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/python -m mkdocs build --strict # -m: it imports the package from here, without Airflow

test-system: $(VENV_SYSTEM)/.ready ## Whatever dies: real Airflow processes on PostgreSQL, killed in many ways
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py tests/system/trigger_faults.py tests/system/celery_workers.py

test-system-short: $(VENV_SYSTEM)/.ready ## Five of its scenarios
	$(VENV_SYSTEM)/bin/pytest tests/system/chaos.py -m short

test-ui: $(VENV_SYSTEM)/.ready ## The Connection's form in a real browser; takes the pictures of the docs
	$(VENV_SYSTEM)/bin/pytest tests/system/connection_form.py

# Inputs that failed are kept in this folder, and are the first ones of the next run.
FUZZ_SEEDS := .hypothesis
EXAMPLES := 2000
MINUTES := 60

fuzz: $(VENV)/.ready ## New hostile inputs for whatever reads foreign data: make fuzz EXAMPLES=2000 MINUTES=60
	HYPOTHESIS_STORAGE_DIRECTORY=$(FUZZ_SEEDS) FUZZ_EXAMPLES=$(EXAMPLES) FUZZ_MINUTES=$(MINUTES) \
		$(VENV)/bin/pytest -m hypothesis --timeout $$((60 * $(MINUTES) + 600)) tests/fuzz tests/unit tests/transfer

bench: $(VENV_BENCH)/.ready ## Thousands of waits on one triggerer, and what one would write instead
	for one in waiting end_to_end parsing synchronous; do $(VENV_BENCH)/bin/python benchmarks/$$one.py || exit; done

bench-faults: $(VENV_BENCH)/.ready ## The same waits in an outage, and with large answers and few file descriptors; half an hour
	for one in "outage --interval 300" "answers --interval 200"; do \
		$(VENV_BENCH)/bin/python benchmarks/waiting_faults.py $$one || exit; done

bench-transfer: $(VENV)/.ready $(VENV_STORES)/.ready ## Our transfer against curl and requests, our uploads against the stores' clients; BENCH="--help"
	$(VENV)/bin/python benchmarks/transfer.py $(BENCH)
	$(VENV_STORES)/bin/python benchmarks/upload.py

bench-formats: $(VENV_BENCH)/.ready ## Our formats against DuckDB, Polars, pyarrow, and where installed pigz and zstd
	$(VENV_BENCH)/bin/python benchmarks/formats.py $(BENCH)

# Every tenth change of each function, always the same ones; MUTANTS="'*'" is all of them.
MUTANTS ?= '*__mutmut_*1'

mutants: $(VENV_MUTANTS)/.ready ## Small changes of the code that a test must notice; lists those that none has noticed
	$(VENV_MUTANTS)/bin/mutmut run --max-children 2 $(MUTANTS)
	$(VENV_MUTANTS)/bin/mutmut results | grep -v 'not checked'

define NO_PYTHON

No Python 3.11 or newer: $(or $(PYTHON),none is on the PATH). Install one (Debian, Ubuntu: apt install python3 python3-venv), or name one: \
make PYTHON=/path/to/python3.12 …
endef

# $(call make-venv,WHAT TO INSTALL)
define make-venv
	$(if $(and $(PYTHON),$(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null)),,$(error $(NO_PYTHON)))
	@$(PYTHON) .ci/make_venv.py $(@D) $(1)
	@touch $@
endef

EXTRAS := --editable '.[parquet,zstd,s3,openlineage]'
NEWEST := $(EXTRAS) 'apache-airflow>=3.3'
STORES := --editable '.[parquet,zstd,s3,gcs,azure,sftp]'

$(VENV)/.ready: pyproject.toml
	$(call make-venv,--group dev $(NEWEST))

$(VENV_2.11)/.ready: pyproject.toml tests/constraints/airflow-2.11.0.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
		{ echo "Airflow 2.11 needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.12 … Without Airflow 2.11: make lint types unit"; exit 1; }
	$(call make-venv,--group test $(EXTRAS) --constraints tests/constraints/airflow-2.11.0.txt 'apache-airflow==2.11.0')

$(VENV_DEMO)/.ready: pyproject.toml
	$(call make-venv,--editable . 'apache-airflow>=3.3')

$(VENV_SYSTEM)/.ready: pyproject.toml
	$(call make-venv,--group system $(NEWEST))

$(VENV_BENCH)/.ready: pyproject.toml
	$(call make-venv,--group bench $(NEWEST))

$(VENV_DOCS)/.ready: pyproject.toml
	$(call make-venv,--group docs)

$(VENV_STORES)/.ready: pyproject.toml
	$(call make-venv,--group stores $(STORES) 'apache-airflow>=3.3')
	npm install --prefix $(@D)/azurite --no-audit --no-fund --ignore-scripts azurite@3 \
		|| echo "Azurite could not be installed with npm: the tests of Azure will be skipped."

$(VENV_MUTANTS)/.ready: pyproject.toml
	$(call make-venv,--group mutants $(NEWEST))

$(VENV_READING)/.ready: pyproject.toml
	$(call make-venv,--group reading)

$(VENV_NOX)/.ready: pyproject.toml
	$(call make-venv,--group nox)

clean: ## Remove what the other targets made
	rm -rf .venv .venv-* .nox dist site mutants .demo .mypy_cache .pytest_cache .ruff_cache
