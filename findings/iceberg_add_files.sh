#!/usr/bin/env bash
# PyIceberg's add_files takes a file that lacks a column, and refuses one that has a column more.
#
# The good guess: a file whose columns differ from the table's is refused either way, or evolves the table either way.
# What happens: a Parquet file with a column more raises ValueError (update the schema first). One with a column less is
# added without a word, and its rows read as null: a column that an export dropped becomes a column of nulls.
# Seen on 2026-11-28 with the versions below. Remedy: compare the file's schema with the table's before add_files.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyiceberg[sql-sqlite,pyarrow]==0.12.0' pyarrow==26.0.1
cd "$folder" && venv/bin/python - <<'PY'
from pathlib import Path

import pyarrow
import pyarrow.parquet
from pyiceberg.catalog.sql import SqlCatalog

here = Path.cwd()
catalog = SqlCatalog("catalog", uri=f"sqlite:///{here}/catalog.db", warehouse=here.as_uri())
catalog.create_namespace("lake")
nights = {"first": ["account", "role"], "more": ["account", "role", "mfa"], "less": ["account"]}
for night, columns in nights.items():
    row = pyarrow.table({column: [f"{column} of {night}"] for column in columns})
    pyarrow.parquet.write_table(row, f"{night}.parquet")
table = catalog.create_table("lake.accounts", schema=pyarrow.parquet.read_schema("first.parquet"))
seen = {}
for night in nights:
    try:
        table.add_files([(here / f"{night}.parquet").as_uri()])
        seen[night] = "added"
    except ValueError as problem:
        seen[night] = str(problem)
    print(f"{night:6} {seen[night]}")
rows = sorted(table.scan().to_arrow().to_pylist(), key=str)
print(rows)
assert (seen["first"], seen["less"]) == ("added", "added"), "the behaviour has changed"
assert "more columns: mfa" in seen["more"], "the behaviour has changed"
assert {"account": "account of less", "role": None} in rows, "the behaviour has changed"
PY
