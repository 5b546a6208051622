"""Every night: who has access to what, as one CSV per data context, in a folder per day.

Needs the Connection ``oleria_default``. The files go to the folder in the Variable ``oleria_export_root``, such as
``s3://aws_default@lake/oleria`` (with ``pip install 'airflow-provider-oleria[s3]'``), or, without it, to
``~/oleria-exports`` on the worker.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import ObjectStoragePath, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.io.path import ObjectStoragePath

DEFAULT_ROOT = f"file://{Path.home()}/oleria-exports"

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)

FOLDER = f"{{{{ var.value.get('oleria_export_root', '{DEFAULT_ROOT}') }}}}/ds={DAY}"


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria"],
)
def oleria_nightly_export() -> None:
    export = OleriaDownloadOperator.partial(
        task_id="export",
        sort_by=[Sort.asc("createdAt")],
        destination=FOLDER + "/{{ task.data_context }}.csv",
        deferrable=True,
        map_index_template="{{ task.data_context }}",
    ).expand(
        data_context=[
            DataContext.ACCESS_INVENTORY_IDENTITIES,
            DataContext.ACCESS_INVENTORY_GROUPS,
            DataContext.ACCOUNT_UTILIZATION,
        ]
    )

    @task
    def write_manifest(exports: list[dict[str, Any]], folder: str) -> int:
        """Write a list of the files beside them, for the job that loads them; return the number of rows in all."""
        manifest = [
            {key: export[key] for key in ("data_context", "path", "row_count", "size_bytes", "sha256")}
            for export in exports
        ]
        (ObjectStoragePath(folder) / "manifest.json").write_text(json.dumps(manifest, indent=2))
        return sum(export["row_count"] for export in manifest)

    write_manifest(export.output, FOLDER)


oleria_nightly_export()
