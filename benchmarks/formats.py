"""Our formats against the tools one would use instead: wall time, CPU and memory for one file of realistic rows.

Each runs in a process of its own, from a CSV on disk to a file on disk. Tools that are not installed are left out.
"""
# ruff: noqa: S311  # the rows are sample data

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from document import machine, table, write_figures

_CHUNK = 512 * 1024


def make_rows(path: Path, size: int) -> None:
    """Write a CSV of about ``size`` bytes, as an export of accounts may look."""
    random.seed(7)
    names = ["Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy"]
    departments = ["Engineering", "Sales", "Finance", '"Legal, Risk & Compliance"', "People"]
    applications = ["Salesforce", "GitHub", "AWS", "Okta", "Workday", "Google Workspace"]
    notes = ["", "", "", '"said ""hello"", left"']
    with path.open("w", newline="") as file:
        file.write(
            "id,name,email,department,application,dormantDays,mfaEnabled,createdAt,lastActivity,note\n"
        )
        while file.tell() < size:
            rows = []
            for _ in range(5000):
                first, last, number = random.choice(names), random.choice(names), random.randrange(100_000)
                month, day = random.randrange(1, 10), random.randrange(10, 29)
                rows.append(
                    f"{uuid.UUID(int=random.getrandbits(128))},{first} {last},{first}.{last}{number}@example.com,"
                    f"{random.choice(departments)},{random.choice(applications)},{random.randrange(400)},"
                    f"{random.choice(('true', 'false'))},2026-0{month}-{day}T0{number % 9}:30:00Z,"
                    f"2026-11-{day}T{random.randrange(10, 24)}:{random.randrange(10, 60)}:00Z,"
                    f"{random.choice(notes)}\n"
                )
            file.write("".join(rows))


def ours(source: Path, target: Path) -> None:
    from airflow_provider_oleria.downloads import SaveOptions
    from airflow_provider_oleria.transfer.formats import writer_for

    with source.open("rb", buffering=0) as csv, target.open("wb") as file:
        writer = writer_for(str(target), file.write, SaveOptions())
        while chunk := csv.read(_CHUNK):
            writer.write(chunk)
        writer.close()


def duckdb(source: Path, target: Path) -> None:
    import duckdb

    duckdb.sql(f"COPY (FROM read_csv('{source}', all_varchar=true)) TO '{target}' (COMPRESSION zstd)")


def polars(source: Path, target: Path) -> None:
    import polars

    polars.scan_csv(source, infer_schema=False).sink_parquet(target, compression="zstd")


def pyarrow(source: Path, target: Path) -> None:
    import pyarrow
    from pyarrow import csv, parquet

    with source.open("rb") as file:
        columns = dict.fromkeys(file.readline().decode().strip().split(","), pyarrow.string())
    convert = csv.ConvertOptions(column_types=columns)
    with (
        csv.open_csv(source, convert_options=convert) as reader,
        parquet.ParquetWriter(target, reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def _piped(*command: str) -> Callable[[Path, Path], None]:
    def run(source: Path, target: Path) -> None:
        with source.open("rb") as csv, target.open("wb") as file:
            subprocess.run(command, stdin=csv, stdout=file, check=True)

    return run


CONTENDERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "ours, Parquet": ("a.parquet", ours),
    "DuckDB COPY": ("b.parquet", duckdb),
    "Polars sink_parquet": ("c.parquet", polars),
    "pyarrow streaming": ("d.parquet", pyarrow),
    "ours, gzip": ("a.csv.gz", ours),
    "pigz -6": ("b.csv.gz", _piped("pigz", "-6")),
    "ours, Zstandard": ("a.csv.zst", ours),
    "zstd -3 -T2": ("b.csv.zst", _piped("zstd", "-q", "-3", "-T2")),
}


def measure(name: str, source: Path, folder: Path) -> None:
    """Run one contender in this process and print what it took."""
    file, run = CONTENDERS[name]
    if name.startswith("ours"):
        import airflow_provider_oleria.transfer.parquet  # noqa: F401  # idle includes the libraries
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    run(source, folder / file)
    wall = time.perf_counter() - started
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    memory = max(usages[0].ru_maxrss - idle, usages[1].ru_maxrss) / 1024
    size = (folder / file).stat().st_size / 1e6
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": memory, "size": size}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="of the CSV, in MB (default: 500)")
    parser.add_argument("--only", default="", help="contenders whose name contains this")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, source, folder = options.one
        return measure(name, Path(source), Path(folder))
    heading = f"{machine()} A CSV of {options.size} MB, {options.repeat} runs."
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS if options.only in name}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.csv"
        make_rows(source, options.size * 1_000_000)
        for _ in range(options.repeat):
            for name in list(runs):
                command = [sys.executable, __file__, "--one", name, str(source), folder]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{name}: not run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                    del runs[name]
                else:
                    runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    write_figures("formats", f"{heading}\n\n{_table(runs)}")
    return None


def _table(runs: dict[str, list[dict[str, float]]]) -> str:
    """A row for each contender, with its ratio to the best rival of its format."""
    best: dict[str, float] = {}
    for name, own in runs.items():
        if not name.startswith("ours"):
            suffix = _suffix(name)
            best[suffix] = min([best.get(suffix, math.inf), *(run["wall"] for run in own)])
    rows = []
    for name, own in runs.items():
        wall = [run["wall"] for run in own]
        ratio = min(wall) / best.get(_suffix(name), math.nan)
        cpu, memory = (statistics.median(run[figure] for run in own) for figure in ("cpu", "memory"))
        rows.append(
            [
                name,
                f"{min(wall):.1f} ({statistics.median(wall):.1f})",
                f"{ratio:.2f}",
                f"{cpu:.1f}",
                f"{memory:.0f}",
                f"{own[0]['size']:.0f}",
            ]
        )
    header = ["", "wall, min (median), s", "× best rival's", "CPU, s", "memory, MiB", "file, MB"]
    return table(header, rows)


def _suffix(name: str) -> str:
    return Path(CONTENDERS[name][0]).suffix


if __name__ == "__main__":
    main()
