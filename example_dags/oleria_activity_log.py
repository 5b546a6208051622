"""Every hour: the activity log of that hour, each row in exactly one file.

Each run exports its own data interval, so clearing it replaces its file, and a backfill fills the past:
``airflow backfill create --dag-id oleria_activity_log --from-date … --to-date …`` (``airflow dags backfill`` on
Airflow 2).

An activity that reaches Oleria after its hour has been exported is missed. Clear the runs of the last day once a day if
that happens in your tenant.

Needs the Connection ``oleria_default``, the Variable ``oleria_export_root`` (such as ``s3://aws_default@lake/oleria``),
and ``pip install 'airflow-provider-oleria[parquet]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator


@dag(
    # In Airflow 3 a plain cron string has data intervals that begin and end at the same moment: nothing would be
    # exported. This timetable has the hour before the run as its interval, on Airflow 2 and 3.
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria", "incremental"],
)
def oleria_activity_log() -> None:
    OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACTIVITY_ANALYSIS,
        # From the start on, up to but without the end. between() would need to be known to exclude one of its bounds,
        # and Oleria does not say that it does: a row on the hour could be in two files.
        filter_by=[
            Filter.timestamp("timestamp").gte("{{ data_interval_start }}"),
            Filter.timestamp("timestamp").lt("{{ data_interval_end }}"),
        ],
        sort_by=[Sort.asc("timestamp")],
        destination=(
            "{{ var.value.oleria_export_root }}/activity/ds={{ data_interval_start | ds }}"
            "/hour={{ data_interval_start.strftime('%H') }}/activity.parquet"
        ),
        column_types={"timestamp": "timestamp", "isSuccess": "bool"},
        deferrable=True,
    )


oleria_activity_log()
