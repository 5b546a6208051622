"""A nightly export in real Airflow against the bundled sandbox: what `make demo` runs.

All its files are in ``.demo`` of the clone, which is recreated on each run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

from airflow_provider_oleria.sandbox import Sandbox

CLONE = Path(__file__).resolve().parent.parent
HOME = CLONE / ".demo"
LAKE = HOME / "lake"
LOG = HOME / "airflow.log"

# The lines of our own tasks in Airflow's log.
PROGRESS = re.compile(r"(Oleria accepted the export|Download \S+: \w+|Saved download).*?(?=\s\[|\s\w+=|$)")


def main() -> int:
    shutil.rmtree(HOME, ignore_errors=True)
    LAKE.mkdir(parents=True)
    with Sandbox(rows=2_000, export_seconds=3) as sandbox:
        print(f"The sandbox plays Oleria at {sandbox.api_url}.")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": str(HOME),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CLONE / "example_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_OLERIA_DEFAULT": sandbox.connection_json(),
            "AIRFLOW_VAR_OLERIA_EXPORT_ROOT": f"file://{LAKE}",  # not as_uri(): Airflow would take its %20 literally
        }
        with LOG.open("w") as log:
            print("Preparing Airflow's database (SQLite) …")
            run_airflow("db", "migrate", environment=environment, log=log)
            print("Running example_dags/oleria_nightly_export.py …")
            run_airflow(
                "dags", "test", "oleria_nightly_export", f"{date.today()}", environment=environment, log=log
            )
        manifests = list(LAKE.glob("ds=*/manifest.json"))
        if not manifests:
            print(f"The run did not get to its end. The log: {LOG}", file=sys.stderr)
            return 1
        exports = json.loads(manifests[0].read_text())
        served = {
            call.data_context: sandbox.expected(call.download_id)
            for call in sandbox.calls
            if call.kind == "create"
        }
    whole = all(
        (export["row_count"], export["size_bytes"], export["sha256"])
        == (
            served[export["data_context"]].row_count,
            served[export["data_context"]].size_bytes,
            served[export["data_context"]].sha256,
        )
        for export in exports
    )
    show(exports)
    print("\nEach file holds exactly what the sandbox served." if whole else "\nNOT what the sandbox served!")
    return 0 if whole else 1


def run_airflow(*command: str, environment: dict[str, str], log) -> None:
    """Run one airflow command; its output goes to the log, our tasks' progress to the screen, too."""
    airflow = Path(sys.executable).with_name("airflow")
    with subprocess.Popen(
        [airflow, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        shown = set()  # Airflow 2.11 prints each line twice
        for line in process.stdout:
            log.write(line)
            if (found := PROGRESS.search(line)) and found.group() not in shown:
                shown.add(found.group())
                print("  ", found.group().strip())
    if process.returncode:
        sys.exit(f"airflow {' '.join(command)} ended with {process.returncode}. The log: {LOG}")


def show(exports: list[dict]) -> None:
    print(f"\n{'data context':<32} {'rows':>8} {'bytes':>12}  path")
    for export in exports:
        print(
            f"{export['data_context']:<32} {export['row_count']:>8,} {export['size_bytes']:>12,}  {export['path']}"
        )
    first = Path(exports[0]["path"].removeprefix("file://"))
    print(f"\nThe first lines of {first.relative_to(CLONE)}:")
    with first.open() as file:
        for _ in range(4):
            print("  ", file.readline().rstrip()[:150])


if __name__ == "__main__":
    sys.exit(main())
