"""Every hour: the activity log of that hour, each row in exactly one file.

Each run exports its own data interval. Clearing a run replaces its file, and a backfill exports the past:
``airflow backfill create --dag-id oleria_activity_log --from-date … --to-date …`` (``airflow dags backfill`` on
Airflow 2). A run without a data interval (started by hand on Airflow 3) exports the last full hour.

An activity that reaches Oleria after its hour was exported is missed. If that happens in your tenant, clear the runs of
the last day once a day.

Needs the Connection ``oleria_default``, the Variable ``oleria_export_root`` (such as ``s3://aws_default@lake/oleria``),
and ``pip install 'airflow-provider-oleria[parquet,s3]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

# The hour to export. Runs without a data interval have the moment they were started, run_after.
LAST_FULL_HOUR = "dag_run.run_after.replace(minute=0, second=0, microsecond=0)"
START = f"(dag_run.data_interval_start or {LAST_FULL_HOUR} - macros.timedelta(hours=1))"
END = f"(dag_run.data_interval_end or {LAST_FULL_HOUR})"


@dag(
    # On Airflow 3 the data interval of a plain cron string starts and ends at the same moment: nothing would be
    # exported. This timetable has the hour before the run as its data interval, on Airflow 2 and 3.
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
        # With the start, without the end. Oleria does not document whether between() includes its bounds: with it, a
        # row on the hour could be in two files.
        filter_by=[
            Filter.timestamp("timestamp").gte(f"{{{{ {START}.isoformat() }}}}"),
            Filter.timestamp("timestamp").lt(f"{{{{ {END}.isoformat() }}}}"),
        ],
        sort_by=[Sort.asc("timestamp")],
        destination=(
            "{{ var.value.oleria_export_root }}/activity/"
            f"{{{{ {START}.strftime('ds=%Y-%m-%d/hour=%H') }}}}/activity.parquet"
        ),
        column_types={"timestamp": "timestamp", "isSuccess": "bool"},
        deferrable=True,
    )


oleria_activity_log()
