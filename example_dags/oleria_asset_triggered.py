"""Two DAGs: one exports, the other starts after each export.

The asset event of the export carries its result (``path``, ``row_count``, ``size_bytes``, ``sha256``, ``data_context``,
``download_id``), so the second DAG need not know where or when the first one writes.

Needs the Connection ``oleria_default`` and the Variable ``oleria_export_root``, such as ``file:///data/oleria``, or
``s3://aws_default@lake/oleria`` with ``pip install 'airflow-provider-oleria[s3]'``.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import Asset, ObjectStoragePath, dag, task
except ImportError:  # Airflow 2.11
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import dag, task
    from airflow.io.path import ObjectStoragePath

ACCOUNTS = Asset("oleria_application_accounts")

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)

DEFAULTS = {"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True}


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["oleria", "asset"],
)
def oleria_asset_producer() -> None:
    OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        destination="{{ var.value.oleria_export_root }}/accounts/ds=" + DAY + "/accounts.csv",
        min_rows=1,
        deferrable=True,
        outlets=[ACCOUNTS],
    )


@dag(
    schedule=[ACCOUNTS],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["oleria", "asset"],
)
def oleria_asset_consumer() -> None:
    @task(inlets=[ACCOUNTS])
    def count_by_application(inlet_events: Any = None) -> dict[str, int]:
        # The newest event: several may have come since the last run, and a run started by hand has none of its own.
        export = inlet_events[ACCOUNTS][-1].extra
        with ObjectStoragePath(export["path"]).open("rb") as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")  # -sig: drops a byte order mark
            counts = Counter(row["application"] for row in csv.DictReader(lines))
        if counts.total() != export["row_count"]:
            raise ValueError(f"{export['path']} is not what was exported: {counts.total()} rows")
        return counts

    count_by_application()


oleria_asset_producer()
oleria_asset_consumer()
