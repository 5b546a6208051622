"""What 50 operators cost a DAG file's parse: ours, HttpOperator, DatabricksRunNowOperator: ``make bench``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from document import machine, table, write_figures

TASKS, REPEAT = 50, 5

# An empty DAG, since Airflow loads its timetables with the first one.
BASE = """
import airflow.sdk as sdk
sdk.BaseOperator, sdk.BaseSensorOperator, sdk.BaseHook
sdk.DAG("empty", schedule=None)
"""
DAG = """
with sdk.DAG("bench", schedule=None):
    for number in range({tasks}):
        {operator}
"""
CONTENDERS = {
    "OleriaDownloadOperator": (
        "from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator",
        'OleriaDownloadOperator(task_id=f"t{number}", data_context="identities", destination=f"/tmp/{number}.csv")',
    ),
    "HttpOperator": (
        "from airflow.providers.http.operators.http import HttpOperator",
        'HttpOperator(task_id=f"t{number}", method="GET", endpoint="/v1")',
    ),
    "DatabricksRunNowOperator": (
        "from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator",
        'DatabricksRunNowOperator(task_id=f"t{number}", job_id=number)',
    ),
}
TIMED = """
import time
began = time.process_time()
{body}
print(time.process_time() - began)
"""


def main() -> None:
    """Parse in fresh processes, in turn, and write the table."""
    where = machine()
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="bench-parsing-") as home:
        for _ in range(REPEAT):
            for name, (imports, operator) in CONTENDERS.items():
                load = _seconds(home, imports)
                whole = _seconds(home, imports + DAG.format(tasks=TASKS, operator=operator))
                took[name].append((load, whole))
    best = {name: [min(column) for column in zip(*pairs, strict=True)] for name, pairs in took.items()}
    median = {name: statistics.median(whole for _, whole in pairs) for name, pairs in took.items()}
    ours = best["OleriaDownloadOperator"]
    write_figures(
        "parsing",
        f"{where} CPU time of {REPEAT} fresh processes each, least (median of the file's), "
        "beyond `airflow.sdk` and an empty DAG.\n\n"
        + table(
            [f"{TASKS} tasks of", "import, ms", "× ours", "whole file, ms", "× ours"],
            [
                [
                    f"`{name}`",
                    f"{1000 * load:.0f}",
                    f"{load / ours[0]:.1f}",
                    f"{1000 * whole:.0f} ({1000 * median[name]:.0f})",
                    f"{whole / ours[1]:.1f}",
                ]
                for name, (load, whole) in best.items()
            ],
        ),
    )


def _seconds(home: str, body: str) -> float:
    # With bytecode kept, as Airflow's own processes keep it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(
        [sys.executable, "-c", BASE + TIMED.format(body=body)],
        env=environment | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return float(ended.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
