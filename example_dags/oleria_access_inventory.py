"""Every night: the whole access inventory, one compressed CSV per data context.

One task is mapped over all data contexts that Oleria lists under *Access Inventory*; one that comes with a later
version of this package is exported too. Each stands or fails for itself, and the run fails if one is missing.

Needs the Connection ``oleria_default`` and the Variable ``oleria_export_root`` (such as
``s3://aws_default@lake/oleria``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, TriggerRule, dag, task

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

INVENTORY = [context for context in DataContext if context.group == "Access Inventory"]


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
            "{{ var.value.oleria_export_root }}/access-inventory/ds={{ data_interval_end | ds }}"
            "/{{ task.data_context }}.csv.gz"
        ),
        deferrable=True,
        # Rate limits are per tenant: a few at a time are as fast as all at once.
        max_active_tis_per_dagrun=4,
        map_index_template="{{ task.data_context }}",
    ).expand(data_context=INVENTORY)

    # The last task decides about the run, and this one runs whatever became of the exports: so it has to fail itself.
    @task(trigger_rule=TriggerRule.ALL_DONE, retries=0)
    def complete(exports: list[dict[str, Any]]) -> dict[str, int]:
        """How many rows each data context has; fails if one was not exported."""
        rows = {export["data_context"]: export["row_count"] for export in exports}
        if missing := [str(context) for context in INVENTORY if context not in rows]:
            raise AirflowFailException(f"not exported: {', '.join(missing)}")
        return rows

    complete(export.output)


oleria_access_inventory()
