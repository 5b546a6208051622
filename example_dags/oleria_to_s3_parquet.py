"""Every night: typed Parquet in S3, a partition per day, as Athena, Glue, Spark, Trino and DuckDB read it.

The file is ``s3://<bucket>/oleria/<data context>/ds=2026-11-25/part-0.parquet``. Clearing a task replaces the file of
that day only.

Needs the Connections ``oleria_default`` and ``aws_default``, the Variable ``oleria_bucket`` (the bucket's name), and
``pip install 'airflow-provider-oleria[parquet,s3]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)

# Column names are the sandbox's: take yours from the header of an export of your tenant. Other columns are strings,
# such as dormantDays: where Oleria does not know the last activity, it shows a threshold like "30+".
TABLES = [
    {
        "data_context": DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        "column_types": {
            "createdAt": "timestamp",
            "lastUsedAt": "timestamp",
            "mfaEnabled": "bool",
        },
    },
    {
        "data_context": DataContext.ACCESS_INVENTORY_ROLES,
        "column_types": {"accountCount": "int64", "permissionCount": "int64", "isPrivileged": "bool"},
    },
]


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "s3", "parquet"],
)
def oleria_to_s3_parquet() -> None:
    OleriaDownloadOperator.partial(
        task_id="export",
        destination=(
            "s3://aws_default@{{ var.value.oleria_bucket }}/oleria/{{ task.data_context }}"
            f"/ds={DAY}/part-0.parquet"
        ),
        min_rows=1,
        deferrable=True,
        map_index_template="{{ task.data_context }}",
    ).expand_kwargs(TABLES)


oleria_to_s3_parquet()
