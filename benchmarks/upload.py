"""Ours against eight ranges into a file and ``upload_file``, to an S3 API: part of ``make bench-transfer``.

On the slow line each connection, to fetch or to send, carries 10 MB/s.
Every transfer is a process of its own, the contenders take turns, and what arrived is compared with what was served.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from document import machine, table, write_figures
from nginx import serving

HERE = Path(__file__).parent
RATE = 10_000_000
LINES = {"10MB/s": "limited", "unlimited": "unlimited"}
CONTENDERS = {"ours": "s3://aws_default@lake/", "upload_file": "s3://lake/"}


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
        for folder in ("source", "nginx"):
            (home / folder).mkdir()
        file = home / "source" / "source.csv"
        making = [sys.executable, str(HERE / "source.py"), str(file), str(options.size * 1_000_000)]
        expected = json.loads(subprocess.run(making, check=True, stdout=subprocess.PIPE).stdout)
        with serving(file.parent, home / "nginx", RATE) as url:
            for line, location in LINES.items():
                runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
                for _ in range(options.repeat):
                    for name in CONTENDERS:
                        print(f"{line}: {name}", file=sys.stderr)
                        link = f"{url}/{location}/{file.name}"
                        runs[name].append(_run(name, link, home, expected, limited=location == "limited"))
                rows += _rows(line, runs)
    header = ["line, each connection", "", "wall, min (median), s", "× `upload_file`", "memory, MiB"]
    write_figures("upload", f"{heading}\n\n{table(header, rows)}")


def _rows(line: str, runs: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    rival = min(run["seconds"] for run in runs["upload_file"])
    rows = []
    for name, own in runs.items():
        wall = [run["seconds"] for run in own]
        memory = max(run["peak_kib"] for run in own) / 1024
        label = "ours" if name == "ours" else "8 ranges, `upload_file`"
        rows.append(
            [
                line,
                label,
                f"{min(wall):.1f} ({statistics.median(wall):.1f})",
                f"{min(wall) / rival:.2f}",
                f"{memory:.0f}",
            ]
        )
    return rows


def _run(name: str, url: str, home: Path, expected: dict[str, Any], *, limited: bool) -> dict[str, Any]:
    """One transfer into a new, empty store."""
    with _store(RATE if limited else 0) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        connection = {
            "conn_type": "aws",
            "login": keys["AWS_ACCESS_KEY_ID"],
            "password": keys["AWS_SECRET_ACCESS_KEY"],
            "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        }
        environment = os.environ | {
            **keys,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        target = f"{CONTENDERS[name]}{name}.csv"
        command = [sys.executable, str(HERE / "contender.py"), name, url, target]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        digest = hashlib.sha256(requests.get(f"{endpoint}/lake/{name}.csv", timeout=60).content)
        if digest.hexdigest() != expected["sha256"]:
            sys.exit(f"{name} sent other bytes than were served")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures


@contextmanager
def _store(rate: int) -> Iterator[str]:
    """A new store; its URL."""
    port = _free_port()
    command = [sys.executable, str(HERE / "s3_store.py"), str(port), str(rate)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
