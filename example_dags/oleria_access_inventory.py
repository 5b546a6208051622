"""Every night: the whole access inventory, one compressed CSV per data context.

One task is mapped over all data contexts that Oleria lists under *Access Inventory*, including those that a later
version of this package adds. Each export succeeds or fails on its own. The run fails if one is missing.

Needs the Connection ``oleria_default`` and the Variable ``oleria_export_root``, such as ``file:///data/oleria``, or
``s3://aws_default@lake/oleria`` with ``pip install 'airflow-provider-oleria[s3]'``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task

INVENTORY = [context for context in DataContext if context.group == "Access Inventory"]

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
    tags=["oleria"],
)
def oleria_access_inventory() -> None:
    export = OleriaDownloadOperator.partial(
        task_id="export",
        destination=(
            "{{ var.value.oleria_export_root }}/access-inventory/ds="
            + DAY
            + "/{{ task.data_context }}.csv.gz"
        ),
        deferrable=True,
        # Rate limits are per tenant: four exports at a time are as fast as all at once.
        max_active_tis_per_dagrun=4,
        map_index_template="{{ task.data_context }}",
    ).expand(data_context=INVENTORY)

    # Leaf tasks decide the state of the run. This one runs even if exports fail, so it has to fail itself.
    @task(trigger_rule="all_done", retries=0)
    def complete(exports: list[dict[str, Any]]) -> dict[str, int]:
        """Return the number of rows of each data context; fail if one was not exported."""
        rows = {export["data_context"]: export["row_count"] for export in exports}
        if missing := [str(context) for context in INVENTORY if context not in rows]:
            raise RuntimeError(f"not exported: {', '.join(missing)}")
        return rows

    complete(export.output)


oleria_access_inventory()
