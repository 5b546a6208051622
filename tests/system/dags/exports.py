"""Exports to be disturbed: so many that wait in the worker, so many that wait in the triggerer."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import cycle, islice

from airflow.sdk import DAG

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

LAKE = os.environ["OLERIA_TEST_LAKE"]


def exports(task_id: str, count: int, *, deferrable: bool) -> None:
    OleriaDownloadOperator.partial(
        task_id=task_id,
        destination=f"file://{LAKE}/{{{{ run_id }}}}/{task_id}-{{{{ ti.map_index }}}}.csv",
        deferrable=deferrable,
        poll_interval=1,
        max_poll_interval=3,
        # A pool counts those at work, not those deferred: many wait, and few start at the same moment.
        pool="few" if deferrable else "default_pool",
        retries=3,
        retry_delay=timedelta(seconds=1),
    ).expand(data_context=[str(context) for context in islice(cycle(DataContext), count)])


for here, deferred in [(1, 0), (1, 1), (2, 2), (3, 3), (0, 50), (0, 20), (30, 0)]:
    with DAG(f"exports_{here}_{deferred}", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        if here:
            exports("here", here, deferrable=False)
        if deferred:
            exports("deferred", deferred, deferrable=True)
    globals()[dag.dag_id] = dag
