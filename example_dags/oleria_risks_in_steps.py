"""Every morning: open risks, in steps: start the export, wait for it, save it.

:class:`OleriaDownloadOperator` alone does all three. In steps, other tasks can run during the wait, and the wait is a
task of its own in the grid; ``reschedule`` holds no worker slot and needs no triggerer.

If the export has failed, clear ``create`` and its downstream tasks: ``wait`` alone would poll the same export.

Needs the Connection ``oleria_default`` and the Variable ``oleria_export_root``, such as ``file:///data/oleria``, or
``s3://aws_default@lake/oleria`` with ``pip install 'airflow-provider-oleria[s3]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

# The day of the run in the DAG's time zone, whatever started the run (docs/recipes.md, "Dates").
DAY = (
    "{{ (partition_date | default or dag_run.run_type in ('scheduled', 'backfill') and dag_run.data_interval_end"
    " or dag_run.logical_date or dag_run.run_after).astimezone(dag.timezone) | ds }}"
)


@dag(
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["oleria"],
)
def oleria_risks_in_steps() -> None:
    create = OleriaDownloadOperator(
        task_id="create",
        data_context=DataContext.RISKS_V2,
        # Fields and values are the sandbox's: take yours from an export of your tenant.
        filter_by=[
            Filter.enum("status").eq("Open"),
            Filter.enum("severity").in_("Critical", "High"),
        ],
        sort_by=[Sort.desc("riskScore")],
        wait_for_completion=False,
    )
    wait = OleriaDownloadSensor(
        task_id="wait",
        download_id=create.output["download_id"],
        mode="reschedule",
        poke_interval=60,
        timeout=2 * 3600,
    )
    save = OleriaSaveDownloadOperator(
        task_id="save",
        download_id=create.output["download_id"],
        destination="{{ var.value.oleria_export_root }}/risks/ds=" + DAY + "/open.csv",
    )
    create >> wait >> save


oleria_risks_in_steps()
