#!/usr/bin/env bash
# One folder of hive partitions (ds=2026-11-28/site=007), four readers, four types.
#
# The good guess: readers agree on the type of a partition column, and a code such as 007 stays as it is in the path.
# What happens: pyarrow and pandas read the date as a string and 007 as the integer 7; Polars reads a date and the
# integer 7; DuckDB reads a date and the string '007'. A join of the results on "site" finds nothing.
# Seen on 2026-11-28 with the versions below. Remedy: give the types (pyarrow: partitioning schema; Polars: hive_schema;
# DuckDB: hive_types), or keep codes out of partition names.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1
cd "$folder" && venv/bin/python - <<'PY'
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

file = Path("lake/ds=2026-11-28/site=007/data.parquet")
file.parent.mkdir(parents=True)
pyarrow.parquet.write_table(pyarrow.table({"account": ["a"]}), file)

arrow = pyarrow.dataset.dataset("lake", partitioning="hive").schema
frame = pandas.read_parquet("lake")
lazy = polars.scan_parquet("lake", hive_partitioning=True)
duck = duckdb.sql("select ds, site from read_parquet('lake/**/*.parquet')")
seen = {
    "pyarrow": (str(arrow.field("ds").type), str(arrow.field("site").type)),
    "pandas": (frame["ds"][0], int(frame["site"][0])),
    "polars": tuple(str(lazy.collect_schema()[name]) for name in ("ds", "site")),
    "duckdb": (*map(str, duck.types), duck.fetchall()[0][1]),
}
for reader, types in seen.items():
    print(f"{reader:8} {types}")
assert seen == {
    "pyarrow": ("string", "int32"),
    "pandas": ("2026-11-28", 7),
    "polars": ("Date", "Int64"),
    "duckdb": ("DATE", "VARCHAR", "007"),
}, "the behaviour has changed"
PY
