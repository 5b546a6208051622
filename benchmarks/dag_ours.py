"""An export with this package."""

import os
from datetime import datetime

from airflow.sdk import DAG

from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    OleriaDownloadOperator(
        task_id="export",
        data_context="identities",
        destination="file://" + os.environ["OUT"] + "/{{ run_id }}.csv",
        poll_interval=1,
        max_poll_interval=1,
    )
