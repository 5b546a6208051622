"""Ours against eight ranges into a file and an upload by the store's own client: part of ``make bench-transfer``.

On the slow line each connection, to fetch or to send, carries 10 MB/s.
Every transfer is a process of its own, the contenders take turns, and what arrived is compared with what was served.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from document import machine, table, write_figures
from nginx import serving, slowed
from processes import free_port, running
from upload_stores import STORES, Store

HERE = Path(__file__).parent
RATE = 10_000_000
LINES = {"10MB/s": "limited", "unlimited": "unlimited"}


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=240, help="of the file, in MB")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender on each line")
    options = parser.parse_args()
    heading = f"{machine()} A CSV of {options.size} MB, {options.repeat} runs."
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as name:
        home = Path(name)
        home.chmod(0o755)
        for folder in ("source", "nginx", "line"):
            (home / folder).mkdir()
        file = home / "source" / "source.csv"
        making = [sys.executable, str(HERE / "source.py"), str(file), str(options.size * 1_000_000)]
        expected = json.loads(subprocess.run(making, check=True, stdout=subprocess.PIPE).stdout)
        with serving(file.parent, home / "nginx", RATE) as url:
            for store in STORES:
                for line, location in LINES.items():
                    link = f"{url}/{location}/{file.name}"
                    runs: dict[str, list[dict[str, Any]]] = {"ours": [], store.rival: []}
                    for contender in list(runs) * options.repeat:
                        print(f"{store.name}, {line}: {contender}", file=sys.stderr)
                        limited = location == "limited"
                        runs[contender].append(_run(contender, store, link, home, expected, limited=limited))
                    rows += _rows(store, line, runs)
    header = ["store", "line, each connection", "", "wall, min (median), s", "× the client's", "memory, MiB"]
    write_figures("upload", f"{heading}\n\n{table(header, rows)}")


def _rows(store: Store, line: str, runs: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    rival = min(run["seconds"] for run in runs[store.rival])
    rows = []
    for name, own in runs.items():
        wall = [run["seconds"] for run in own]
        memory = max(run["peak_kib"] for run in own) / 1024
        rows.append(
            [
                store.name,
                line,
                "ours" if name == "ours" else f"8 ranges, `{name}`",
                f"{min(wall):.1f} ({statistics.median(wall):.1f})",
                f"{min(wall) / rival:.2f}",
                f"{memory:.0f}",
            ]
        )
    return rows


def _run(
    contender: str, store: Store, url: str, home: Path, expected: dict[str, Any], *, limited: bool
) -> dict[str, Any]:
    """One transfer into a new, empty store."""
    name = f"{contender}.csv"
    with _serving(store, home / "line", limited=limited) as (endpoint, line):
        environment = os.environ | store.environment(line)
        environment |= {"AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        command = [sys.executable, str(HERE / "contender.py"), contender, url, f"{store.url}/{name}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        if hashlib.sha256(store.read(endpoint, name)).hexdigest() != expected["sha256"]:
            sys.exit(f"{contender} sent other bytes to {store.name} than were served")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def _serving(store: Store, home: Path, *, limited: bool) -> Iterator[tuple[str, str]]:
    """A new store: its URL, and its URL over the line."""
    port = free_port()
    command = [str(part) for part in store.command(port)]
    with running(command, port, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        endpoint = f"http://127.0.0.1:{port}"
        store.create_bucket(endpoint)
        if not limited:
            yield endpoint, endpoint
            return
        with slowed(port, home, RATE) as slow:
            yield endpoint, f"http://127.0.0.1:{slow}"


if __name__ == "__main__":
    main()
