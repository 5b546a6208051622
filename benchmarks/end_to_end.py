"""A hundred exports from request to file, with our operator and with plain operators: ``make bench``.

Both DAGs run a hundred times with ``dag.test()``, in a process of their own against a sandbox of their own, which
counts the requests. Both poll every second. All tasks of a contender share its process; in production each
task usually has a process of its own, and each process mints its own token.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from document import machine, table, write_figures

HERE = Path(__file__).parent
DAGS = {"ours": "dag_ours.py", "HttpOperator, HttpSensor, requests": "dag_by_hand.py"}


def main() -> None:
    """Run both and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exports", type=int, default=100)
    parser.add_argument("--export-seconds", type=float, default=1.5, help="how long Oleria takes for one")
    options = parser.parse_args()
    where = machine()
    runs = {name: _run(file, options.exports, options.export_seconds) for name, file in DAGS.items()}
    rows = [
        ["lines of DAG code", *(str(_lines(file)) for file in DAGS.values())],
        ["requests to Oleria", *(str(sum(run["calls"].values())) for run in runs.values())],
        ["tokens minted", *(str(run["calls"]["token"]) for run in runs.values())],
        ["seconds", *(f"{run['seconds']:.0f}" for run in runs.values())],
    ]
    write_figures(
        "end to end",
        f"{where} {options.exports} exports of {options.export_seconds:g} s each, one after the other.\n\n"
        + table(["", *DAGS], rows),
    )


def _lines(file: str) -> int:
    lines = (line.strip() for line in (HERE / file).read_text().partition('"""\n\n')[2].splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _run(file: str, exports: int, export_seconds: float) -> dict[str, Any]:
    from airflow_provider_oleria.sandbox import Sandbox

    print(f"{file} …", file=sys.stderr)
    with (
        tempfile.TemporaryDirectory(prefix="bench-end-to-end-") as home,
        Sandbox(rows=100, export_seconds=export_seconds) as sandbox,
    ):
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW_CONN_OLERIA_DEFAULT": sandbox.connection_json(),
            "AIRFLOW_CONN_OLERIA_HTTP": json.dumps({"conn_type": "http", "host": sandbox.api_url}),
            "AIRFLOW_CONN_OLERIA_APPLICATION": json.dumps(
                {
                    "conn_type": "generic",
                    "host": sandbox.api_url,
                    "login": sandbox.client_id,
                    "password": sandbox.client_secret,
                }
            ),
            "OUT": home,
        }
        airflow = Path(sys.executable).with_name("airflow")
        quiet = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "check": True,
            "env": environment,
        }
        subprocess.run([airflow, "db", "migrate"], **quiet)
        ended = subprocess.run(
            [sys.executable, HERE / "run_dag.py", HERE / file, str(exports)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert len(list(Path(home).glob("*.csv"))) == exports, "not every export arrived"
        kinds = ("token", "create", "get", "fetch")
        return {
            "seconds": float(ended.stdout.splitlines()[-1]),
            "calls": {kind: sandbox.count(kind) for kind in kinds},
        }


if __name__ == "__main__":
    main()
