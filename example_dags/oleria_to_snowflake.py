"""Every night: a table in Snowflake, through S3.

Parquet in a bucket is read by an external stage of Snowflake and copied into a staging table. One statement then
replaces the rows of the table that people read.

Needs the Connections ``oleria_default``, ``aws_default`` and ``snowflake_default``, the Variable ``oleria_bucket`` (the
bucket's name), in Snowflake the table ``APPLICATION_ACCOUNTS`` and the stage ``OLERIA`` on ``s3://<bucket>/oleria/``,
and ``pip install apache-airflow-providers-snowflake 'airflow-provider-oleria[parquet,s3]'``.
Without the Snowflake provider this file has no DAG.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

try:
    from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
    from airflow.providers.snowflake.transfers.copy_into_snowflake import (
        CopyFromExternalStageToSnowflakeOperator,
    )
except ImportError:
    SNOWFLAKE = False
else:
    SNOWFLAKE = True

TABLE = "APPLICATION_ACCOUNTS"
STAGING = f"{TABLE}_STAGING"

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # there is one staging table
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "snowflake"],
)
def oleria_to_snowflake() -> None:
    folder = f"{TABLE}/ds={DAY}"
    export = OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        destination=f"s3://aws_default@{{{{ var.value.oleria_bucket }}}}/oleria/{folder}/part-0.parquet",
        # The sandbox's columns: take yours from the header of an export of your tenant. Others are strings, such as
        # dormantDays: where Oleria does not know the last activity, it shows a threshold like "30+".
        column_types={
            "createdAt": "timestamp",
            "lastUsedAt": "timestamp",
            "mfaEnabled": "bool",
        },
        min_rows=1,
        deferrable=True,
    )
    empty = SQLExecuteQueryOperator(
        task_id="empty_staging",
        conn_id="snowflake_default",
        sql=f"create or replace table {STAGING} like {TABLE}",
    )
    load = CopyFromExternalStageToSnowflakeOperator(
        task_id="load",
        snowflake_conn_id="snowflake_default",
        table=STAGING,
        stage="OLERIA",
        prefix=folder,
        file_format="(type = parquet)",
        copy_options="match_by_column_name = case_insensitive",
    )
    swap = SQLExecuteQueryOperator(
        task_id="swap",
        conn_id="snowflake_default",
        # Atomic, and the table keeps its grants.
        sql=f"insert overwrite into {TABLE} select * from {STAGING}",
    )
    export >> empty >> load >> swap


if SNOWFLAKE:
    oleria_to_snowflake()
