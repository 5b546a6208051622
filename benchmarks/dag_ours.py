"""A hundred exports with this package."""

import os
from datetime import datetime

from airflow.sdk import DAG

from airflow_provider_oleria.operators.download import OleriaDownloadOperator

with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    OleriaDownloadOperator.partial(
        task_id="export", data_context="identities", deferrable=True, poll_interval=1
    ).expand(destination=[f"file://{os.environ['OUT']}/{n}.csv" for n in range(int(os.environ["EXPORTS"]))])
