"""Every night: typed Parquet in S3, a partition per day, as Athena, Glue, Spark, Trino and DuckDB read it.

``s3://<bucket>/oleria/<data context>/ds=2026-11-25/part-0.parquet``: clearing a task replaces that day's file and
nothing else.

Needs the Connections ``oleria_default`` and ``aws_default``, the Variable ``oleria_bucket`` (the bucket's name), and
``pip install 'airflow-provider-oleria[parquet]' 'apache-airflow-providers-amazon[s3fs]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

# Column names are the sandbox's: take yours from the header of an export of your own tenant. A column that is not
# named here is a string.
TABLES = [
    {
        "data_context": DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        "column_types": {
            "createdAt": "timestamp",
            "lastUsedAt": "timestamp",
            "dormantDays": "int32",
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
        # data_interval_end is the day of the run on Airflow 2 and 3 alike; ds is the day before it on 2.
        destination=(
            "s3://aws_default@{{ var.value.oleria_bucket }}/oleria/{{ task.data_context }}"
            "/ds={{ data_interval_end | ds }}/part-0.parquet"
        ),
        min_rows=1,
        deferrable=True,
        map_index_template="{{ task.data_context }}",
    ).expand_kwargs(TABLES)


oleria_to_s3_parquet()
