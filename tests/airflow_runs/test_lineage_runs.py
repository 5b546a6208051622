"""OpenLineage receives what was read and what was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from airflow_provider_oleria.sandbox import Sandbox
from tests.leaks import assert_no_secret

LINEAGE_DAG = """
from datetime import datetime
try:
    from airflow.sdk import ObjectStoragePath, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.io.path import ObjectStoragePath
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator

@dag(schedule=None, start_date=datetime(2026, 1, 1))
def lineage():
    export = OleriaDownloadOperator(
        task_id="export", data_context="risks", destination="file://{folder}/{name}.parquet",
        column_types={{"createdAt": "timestamp"}}, poll_interval=0.05,
    )

    @task
    def in_a_task():
        hook = OleriaHook()
        download = hook.create_download("employees")
        hook.wait_for_download(download.download_id, poll_interval=0.05)
        hook.save_download(download.download_id, "file://{folder}/{name}.csv")

    @task
    def read():
        for suffix in ("csv", "parquet"):
            with ObjectStoragePath("file://{folder}/{name}." + suffix).open("rb") as file:
                file.read(1)

    [export, in_a_task()] >> read()

lineage()
"""


NAME = "one & 100%"


def test_openlineage_receives_what_was_read_and_what_was_written(
    airflow_db: Path, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    """In a process of its own: the provider reads its configuration once."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "lineage.py").write_text(LINEAGE_DAG.format(folder=tmp_path, name=NAME))
    emitted = tmp_path / "events.json"
    environment = {
        **os.environ,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(emitted), "append": True}
        ),
    }
    airflow = Path(sys.executable).with_name("airflow")
    for command in (["dags", "reserialize"], ["dags", "test", "lineage"]):
        done = subprocess.run([airflow, *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    assert_no_secret(oleria_sandbox, emitted.read_text())
    completed = {
        event["job"]["name"]: event
        for event in map(json.loads, emitted.read_text().splitlines())
        if event["eventType"] == "COMPLETE"
    }
    tenant = f"oleria://{urlsplit(oleria_sandbox.api_url).netloc}"
    assert names(completed["lineage.export"]["inputs"]) == [(tenant, "risks")]
    # `airflow dags test` runs both tasks in one process, whose hooks have one collector.
    assert (tenant, "employees") in names(completed["lineage.in_a_task"]["inputs"])
    assert ("file", f"{tmp_path}/{NAME}.csv") in names(completed["lineage.in_a_task"]["outputs"])
    # A task that reads the files gives them the same names.
    assert set(names(completed["lineage.read"]["inputs"])) >= {
        ("file", f"{tmp_path}/{NAME}.csv"),
        ("file", f"{tmp_path}/{NAME}.parquet"),
    }
    (file,) = completed["lineage.export"]["outputs"]
    assert names([file]) == [("file", f"{tmp_path}/{NAME}.parquet")]
    parquet = pq.ParquetFile(tmp_path / f"{NAME}.parquet")
    fields = {field["name"]: field["type"] for field in file["facets"]["schema"]["fields"]}
    assert list(fields) == parquet.schema_arrow.names
    assert fields["createdAt"] == "timestamp"
    assert set(fields.values()) == {"timestamp", "string"}
    statistics = file["outputFacets"]["outputStatistics"]
    assert statistics["rowCount"] == parquet.metadata.num_rows
    assert statistics["size"] == (tmp_path / f"{NAME}.parquet").stat().st_size


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]
