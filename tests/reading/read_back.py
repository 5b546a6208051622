"""Do the usual readers get back what the package writes? Fills in the tables of ``docs/reading.md``.

Run by ``make test-reading``, with all readers and without Airflow. It fails if a way that the page recommends does not
read every value.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.transfer.formats import writer_for

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"

Rows = list[tuple[Any, ...]]

# -- the calls: what the page shows is what is run; the first of each reader is the one that the page recommends -----

CSV = {
    "pandas": ["pandas.read_csv(path, dtype=str, keep_default_na=False)", "pandas.read_csv(path)"],
    "Polars": ["polars.read_csv(path, infer_schema=False)", "polars.read_csv(path)"],
    "pyarrow": [
        "pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True), "
        "convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns, pyarrow.string())))",
        "pyarrow.csv.read_csv(path)",
        "pyarrow.dataset.dataset(path, format='csv').to_table()",
    ],
    "DuckDB": [
        "duckdb.read_csv(path, header=True, all_varchar=True, quotechar='\"', escapechar='\"', comment='')",
        "duckdb.read_csv(path, all_varchar=True)",
        "duckdb.read_csv(path)",
    ],
    "Spark": [
        "spark.read.csv(path, header=True, multiLine=True, escape='\"')",
        "spark.read.csv(path, header=True)",
    ],
}
PARQUET = {
    "pandas": "pandas.read_parquet(path, dtype_backend='pyarrow')",
    "pandas, defaults": "pandas.read_parquet(path)",
    "Polars": "polars.read_parquet(path)",
    "pyarrow": "pyarrow.parquet.read_table(path)",
    "DuckDB": "duckdb.read_parquet(path)",
    "fastparquet": "fastparquet.ParquetFile(path).to_pandas()",
    "Spark": "spark.read.parquet(path)",
}
FOLDER = {
    "pandas": [
        "pandas.read_parquet(folder, schema=pyarrow.parquet.read_schema(newest))",
        "pandas.read_parquet(folder)",
    ],
    "Polars": [
        "polars.scan_parquet([newest, *others], missing_columns='insert').collect()",
        "polars.read_parquet(folder)",
    ],
    "pyarrow": [
        "pyarrow.parquet.read_table(folder, schema=pyarrow.parquet.read_schema(newest))",
        "pyarrow.parquet.read_table(folder)",
    ],
    "DuckDB": [
        "duckdb.read_parquet(folder + '/*', union_by_name=True)",
        "duckdb.read_parquet(folder + '/*')",
    ],
    "Spark": ["spark.read.parquet(folder, mergeSchema=True)", "spark.read.parquet(folder)"],
}
PACKAGES = {"Polars": "polars", "DuckDB": "duckdb", "Spark": "pyspark"}
MODULES = (
    "duckdb",
    "fastparquet",
    "pandas",
    "polars",
    "pyarrow",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
)

# -- the files, written by the package ------------------------------------------------------------------------------

TEXTS: Rows = [
    ("group", "number", "note"),
    # DuckDB decides from 20,480 lines how a CSV is quoted.
    *((f"#{number}", f"00{number}", "") for number in range(20_500)),
    ("#é", "NA", 'a "quoted", note\non two lines'),
    ("CORP\\jdoe", "null", 'ends in "\\'),
    (" spaces ", "1e3", "-"),
]

INSTANTS = [datetime(2026, 1, 1, 1, 2, 3, 456000, UTC), None, datetime(2026, 7, 1, 23, 59, 59, tzinfo=UTC)]
NEVER = [INSTANTS[0], None, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
DEFAULTS: dict[str, list[Any]] = {
    "string": ["007", "", "NA"],
    "int64": [2**53 + 1, None, -1],
    "double": [0.5, None, 2.0],
    "bool": [True, None, False],
    "timestamp": NEVER,
}
OTHER_TYPES: dict[str, list[Any]] = {
    "date32": [date(2026, 1, 31), None, date(9999, 12, 31)],
    "timestamp[ms, tz=UTC]": NEVER,
    "timestamp[ms]": NEVER,
    "timestamp[ns]": INSTANTS,
    "uint64": [2**64 - 1, None, 0],
    "date64": [date(2026, 1, 31), None, date(9999, 12, 31)],
    "time64[us]": [time(1, 2, 3), None, time(23, 59, 59)],
}
COMPRESSIONS = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")
CASES: Rows = [("id", "ID"), ("a", "b")]
DAYS: Rows = [("id", "added"), ("a", None), ("b", "c")]


def write(path: Path, rows: Rows, *, before: str = "", **options: Any) -> str:
    """A file as the package saves it."""
    source = io.StringIO()
    csv.writer(source).writerows([map(_text, row) for row in rows])
    with path.open("wb") as file:
        writer = writer_for(str(path), file.write, SaveOptions(**options))
        writer.write((before + source.getvalue()).encode())
        writer.close()
    return str(path)


def _text(value: Any) -> str:
    """A value as Oleria writes it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


# -- reading ---------------------------------------------------------------------------------------------------------


def evaluate(call: str, names: dict[str, Any]) -> Rows:
    """The header and the rows that a call returns, nulls as ``None``."""
    modules = {module.partition(".")[0]: sys.modules[module.partition(".")[0]] for module in MODULES}
    found = eval(call, modules | names | ({"spark": spark()} if "spark" in call else {}))  # noqa: S307  # our own
    match type(found).__module__.partition(".")[0]:
        case "pandas":
            rows = found.astype(object).where(found.notna(), None)
            return [tuple(found.columns), *rows.itertuples(index=False, name=None)]
        case "polars":
            return [tuple(found.columns), *found.rows()]
        case "pyarrow":
            columns = (column.to_pylist() for column in found.columns)
            return [tuple(found.column_names), *zip(*columns, strict=True)]
        case "pyspark":
            return [tuple(found.columns), *map(tuple, found.collect())]
    return [tuple(found.columns), *found.fetchall()]  # DuckDB


@cache
def spark() -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.log.level": "OFF",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    return SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()


def outcome(call: str, expected: Rows, **names: Any) -> str:
    """What a call makes of a file: ``yes``, the name of a difference, ``wrong`` (other values) or ``error``."""
    if "spark" in call and not shutil.which("java"):
        return NOT_RUN
    try:
        header, *rows = evaluate(call, names | {"columns": expected[0]})
    except Exception as problem:  # whatever a reader raises
        print(f"{call}: {type(problem).__name__}: {str(problem)[:300]}", file=sys.stderr)
        return "error"
    if set(header) < set(expected[0]):
        return "column missing"
    if len(rows) != len(expected) - 1:
        return "rows missing" if len(rows) < len(expected) - 1 else "more rows"
    for name, simplified in DIFFERENCES.items():
        found, wanted = ([list(map(simplified, row)) for row in some] for some in (rows, expected[1:]))
        if header == expected[0] and sorted(found, key=repr) == sorted(wanted, key=repr):
            return name
    pairs = zip([header, *rows], expected, strict=True)
    print(f"{call}: {next((pair for pair in pairs if pair[0] != pair[1]), rows)}", file=sys.stderr)
    return "wrong"


def _exact(value: Any) -> Any:
    """A value with its type: 1 == 1.0 == True in Python. A moment without a time zone is in UTC."""
    if isinstance(value, datetime):  # pandas' too
        utc = value if value.tzinfo else value.replace(tzinfo=UTC)
        return utc.astimezone(UTC).isoformat(timespec="milliseconds")
    return type(value).__name__, value


def _empty_or_null(value: Any) -> Any:
    return _exact(None if value == "" else value)


def _at_midnight(value: Any) -> Any:
    is_date = isinstance(value, date) and not isinstance(value, datetime)
    return _exact(datetime.combine(value, time(), UTC) if is_date else value)


def _whole(value: Any) -> Any:
    return _exact(int(value) if isinstance(value, Decimal) else value)


NOT_RUN = "not run"
DIFFERENCES = {
    "yes": _exact,
    "empty = NULL": _empty_or_null,
    "as timestamp": _at_midnight,
    "as decimal": _whole,
}
READ = {*DIFFERENCES, NOT_RUN}


# -- the tables ------------------------------------------------------------------------------------------------------


class Tables:
    """The tables of the page, and which cells are not what the page recommends them for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures: list[str] = []

    def readers(self) -> str:
        rows = (
            [name, version(PACKAGES.get(name, name)), f"`{call}`"]
            for name, call in PARQUET.items()
            if "," not in name
        )
        return _table(["reader", "version", "Parquet"], rows)

    def csv(self) -> str:
        files = {
            suffix: write(self.folder / f"texts{suffix}", TEXTS) for suffix in (".csv", ".csv.gz", ".csv.zst")
        }
        files["with a BOM"] = write(self.folder / "bom.csv", TEXTS, before="\ufeff")
        return self._calls(CSV, {column: {"path": path} for column, path in files.items()}, TEXTS)

    def new_column(self) -> str:
        folder = self.folder / "days"
        folder.mkdir()
        others = [write(folder / "1.parquet", [row[:1] for row in DAYS[:2]])]
        newest = write(folder / "2.parquet", [DAYS[0], DAYS[2]])
        names = {"folder": str(folder), "newest": newest, "others": others}
        return self._calls(FOLDER, {"both columns": names}, DAYS)

    def _calls(self, calls: dict[str, list[str]], columns: dict[str, dict[str, Any]], expected: Rows) -> str:
        rows = []
        for reader, (recommended, *others) in calls.items():
            for call in (recommended, *others):
                cells = [outcome(call, expected, **names) for names in columns.values()]
                rows.append([reader, f"**`{call}`**" if call == recommended else f"`{call}`", *cells])
                self._require(call == recommended, call, cells)
        return _table(["", "call", *columns], rows)

    def parquet(self) -> str:
        files: dict[str, tuple[str, Rows]] = {}
        for number, (kind, values) in enumerate({**DEFAULTS, **OTHER_TYPES}.items()):
            rows: Rows = [("name", "x"), *(("a", value) for value in values)]
            files[f"`{kind}`"] = (
                write(self.folder / f"{number}.parquet", rows, column_types={"x": kind}),
                rows,
            )
        for name in COMPRESSIONS:
            rows = [("name", "x"), *((text, text) for text in DEFAULTS["string"])]
            files[f"`{name}`"] = write(self.folder / f"{name}.parquet", rows, compression=name), rows
        files["columns `id` and `ID`"] = write(self.folder / "cases.parquet", CASES), CASES
        table = []
        for label, (path, expected) in files.items():
            cells = {reader: outcome(call, expected, path=path) for reader, call in PARQUET.items()}
            table.append([label, *cells.values()])
            default = label.strip("`") in {*DEFAULTS, "zstd"}
            self._require(default, label, [cell for reader, cell in cells.items() if "," not in reader])
        return _table(["", *PARQUET], table)

    def check_words(self) -> None:
        """What the page reports beside its tables."""
        import duckdb
        import zstandard

        rows: Rows = [("name", "moment"), ("a", datetime(2026, 1, 31, 23, 30, tzinfo=UTC))]
        as_csv = write(self.folder / "moment.csv", rows)
        as_parquet = write(self.folder / "moment.parquet", rows, column_types={"moment": "timestamp"})
        with duckdb.connect() as database:
            database.execute("set timezone = 'Europe/Berlin'")
            database.execute(f"create table moments as from read_csv('{as_csv}')")
            days = [
                str(database.execute(f"select moment::date from {source}").fetchone()[0])  # noqa: S608  # our own
                for source in (f"read_csv('{as_csv}')", "moments", f"read_parquet('{as_parquet}')")
            ]
        if days != ["2026-01-31", "2026-02-01", "2026-02-01"]:
            self.failures.append(f"DuckDB casts over a CSV by the text: {', '.join(days)}")

        file = Path(write(self.folder / "joined.csv.zst", rows))
        file.write_bytes(file.read_bytes() * 2)
        with zstandard.open(file, "rb") as whole:
            read = whole.read()
        first = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
        if read != first * 2:
            self.failures.append("zstandard: open() reads all frames, decompressobj() the first")

    def _require(self, recommended: bool, what: str, cells: list[str]) -> None:
        if recommended and not READ.issuperset(cells):
            self.failures.append(f"{what}: {', '.join(cells)}")


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def main() -> int:
    os.environ["TZ"] = "UTC"
    list(map(import_module, MODULES))
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(Path(folder))
        for name in ("readers", "csv", "parquet", "new_column"):
            begin, end = f"<!-- make test-reading: {name} -->\n", "<!-- end -->"
            before, _, rest = page.partition(begin)
            page = f"{before}{begin}\n{getattr(tables, name)()}\n\n{end}{rest.partition(end)[2]}"
        tables.check_words()
    PAGE.write_text(page)
    if not shutil.which("java"):
        print("Spark was not run: no java on the PATH (Debian, Ubuntu: apt install default-jre-headless)")
    for failure in tables.failures:
        print(f"docs/reading.md recommends what does not read every value: {failure}")
    return bool(tables.failures)


if __name__ == "__main__":
    sys.exit(main())
