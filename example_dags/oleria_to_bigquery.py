"""Every night: a day's partition of a table in BigQuery, through GCS.

Parquet in a bucket is loaded over the partition of that day. BigQuery replaces the partition atomically; a retry
replaces it again.

Needs the Connections ``oleria_default`` and ``google_cloud_default``, the Variables ``oleria_bucket`` (the bucket's
name) and ``oleria_bigquery_table`` (``project.dataset.application_accounts``; created by the first run, partitioned by
the day of loading), and
``pip install 'airflow-provider-oleria[parquet,gcs]'``.
Without the Google provider this file has no DAG.
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
    from airflow.providers.google.cloud.transfers.gcs_to_bigquery import GCSToBigQueryOperator
except ImportError:
    GOOGLE = False
else:
    GOOGLE = True

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "bigquery"],
)
def oleria_to_bigquery() -> None:
    file = f"oleria/application_accounts/ds={DAY}/part-0.parquet"
    export = OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACCESS_INVENTORY_APPLICATION_ACCOUNTS,
        destination=f"gs://google_cloud_default@{{{{ var.value.oleria_bucket }}}}/{file}",
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
    load = GCSToBigQueryOperator(
        task_id="load",
        bucket="{{ var.value.oleria_bucket }}",
        source_objects=[file],
        destination_project_dataset_table=(
            "{{ var.value.oleria_bigquery_table }}$" + DAY.replace("| ds", "| ds_nodash")
        ),
        time_partitioning={"type": "DAY"},
        source_format="PARQUET",
        write_disposition="WRITE_TRUNCATE",
        deferrable=True,
    )
    export >> load


if GOOGLE:
    oleria_to_bigquery()
