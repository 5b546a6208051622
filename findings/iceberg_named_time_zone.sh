#!/usr/bin/env bash
# PyIceberg takes timestamps in UTC, and none in a named zone.
#
# The good guess: timestamp[us, tz=Europe/Berlin] is an instant like timestamp[us, tz=UTC], and becomes timestamptz.
# What happens: the table cannot be created (UnsupportedPyArrowTypeException), while Parquet, Polars, DuckDB and Delta
# take the same column. tz=UTC works, from seconds to microseconds.
# Seen on 2026-11-28 with the versions below. Remedy: type timestamps with tz=UTC, and convert when reading.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyiceberg[sql-sqlite,pyarrow]==0.12.0' pyarrow==26.0.1
cd "$folder" && venv/bin/python - <<'PY'
from pathlib import Path

import pyarrow
from pyiceberg.catalog.sql import SqlCatalog

here = Path.cwd()
catalog = SqlCatalog("catalog", uri=f"sqlite:///{here}/catalog.db", warehouse=here.as_uri())
catalog.create_namespace("lake")
seen = {}
for number, zone in enumerate(("UTC", "Europe/Berlin")):
    schema = pyarrow.schema([("created", pyarrow.timestamp("us", zone))])
    try:
        seen[zone] = str(catalog.create_table(f"lake.t{number}", schema=schema).schema().fields[0].field_type)
    except Exception as problem:
        seen[zone] = f"{type(problem).__name__}: {problem}"
    print(f"{zone:14} {seen[zone]}")
assert seen["UTC"] == "timestamptz", "the behaviour has changed"
assert seen["Europe/Berlin"].startswith("UnsupportedPyArrowTypeException"), "the behaviour has changed"
PY
