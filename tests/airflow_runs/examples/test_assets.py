"""One DAG that exports, and one that its asset starts."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from pathlib import Path

from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import AIRFLOW_V_3_0_PLUS
from tests.airflow_runs.conftest import RunDag, register

from .conftest import load

FILE = "oleria_asset_triggered"
QUEUE = "asset_dag_run_queue" if AIRFLOW_V_3_0_PLUS else "dataset_dag_run_queue"


def test_the_consumer_reads_what_was_exported(
    run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path, airflow_db: Path
) -> None:
    producer, consumer = load("oleria_asset_producer", FILE), load("oleria_asset_consumer", FILE)
    register(consumer)
    with sqlite3.connect(airflow_db) as database:
        database.execute("update dag set is_paused = 0 where dag_id = ?", [consumer.dag_id])
    exported = run_dag(producer)
    with sqlite3.connect(airflow_db) as database:
        queued = database.execute(f"select target_dag_id from {QUEUE}").fetchall()  # noqa: S608  # a constant
    assert ("oleria_asset_consumer",) in queued
    run = run_dag(consumer)

    assert run.states == {"count_by_application": "success"}
    with (lake / exported.xcom("export")["path"].removeprefix(f"{lake.as_uri()}/")).open(newline="") as lines:
        assert run.xcom("count_by_application") == Counter(
            row["application"] for row in csv.DictReader(lines)
        )
