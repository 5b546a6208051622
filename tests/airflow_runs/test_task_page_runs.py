"""What a person finds on the page of a task: log, rendered templates, buttons."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, DAG
from tests.servers.s3 import Bucket

from .conftest import Run, RunDag, new_dag


def test_the_page_of_a_task_shows_the_request_and_where_to_look(
    run_dag: RunDag, airflow_db: Path, tmp_path: Path
) -> None:
    with new_dag("page") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.ACCESS_INVENTORY_IDENTITIES,
            filter_by=[Filter.string("department").in_("Engineering", "Sales")],
            sort_by=[Sort.desc("createdAt")],
            destination=f"file://{tmp_path}/identities.csv",
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert re.search(
        r"Download \S+ of accessInventoryIdentitiesV2 where department in Engineering, Sales, "
        r"sorted by createdAt desc is completed, \d+ s after its start\.",
        run.log,
    )
    with sqlite3.connect(airflow_db) as db:
        (stored,) = db.execute(
            "select rendered_fields from rendered_task_instance_fields where dag_id = 'page' and run_id = ?",
            (run.run_id,),
        ).fetchone()
    rendered = json.loads(stored)
    assert rendered["data_context"] == "accessInventoryIdentitiesV2"
    assert rendered["filter_by"] == [
        {
            "dataType": "string",
            "field": "department",
            "filterType": "in",
            "values": ["Engineering", "Sales"],
        }
    ]


def test_the_button_of_a_task_leads_to_the_saved_file(
    run_dag: RunDag, bucket: Bucket, tmp_path: Path
) -> None:
    with new_dag("buttons") as dag:
        for task_id, folder in {
            "s3": f"s3://aws_default@{bucket.name}",
            "disk": f"file://{tmp_path}",
        }.items():
            OleriaDownloadOperator(
                task_id=task_id,
                data_context=DataContext.RISKS,
                destination=f"{folder}/risks.csv",
                poll_interval=0.05,
            )
    run = run_dag(dag)

    in_console = f"https://console.aws.amazon.com/s3/object/{bucket.name}?prefix=risks.csv"
    assert buttons(dag, run, "s3") == [in_console]
    assert buttons(dag, run, "disk") == [""]


def buttons(dag: DAG, run: Run, task_id: str) -> list[str]:
    """Where they lead: stored by Airflow 3 when the task has ended, requested by the webserver of 2.11."""
    if AIRFLOW_V_3_0_PLUS:
        return [run.xcom(task_id, "_link_OleriaSavedFileLink")]
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.serialization.serialized_objects import SerializedDAG

    task = SerializedDAG.from_dict(SerializedDAG.to_dict(dag)).get_task(task_id)
    key = TaskInstanceKey(dag.dag_id, task_id, run.run_id)
    return [link.get_link(task, ti_key=key) for link in task.operator_extra_links]
