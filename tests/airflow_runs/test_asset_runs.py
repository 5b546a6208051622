"""The events of assets carry the saved file's metadata."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.compat import Asset, AssetAlias
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS, DAG
from tests.servers.s3 import Bucket

from .conftest import Run, RunDag, new_dag
from .test_download_runs import both_modes

EVENTS = """
    select asset.uri, event.source_task_id, event.extra
    from {0}_event event join {0} asset on asset.id = event.{0}_id
    where event.source_dag_id = ? and event.source_run_id = ?
    order by event.id
""".format("asset" if AIRFLOW_V_3_0_PLUS else "dataset")  # noqa: S608  # two constants


@pytest.fixture
def events(airflow_db: Path) -> Callable[[str, Run], list[tuple[str, str, dict[str, Any]]]]:
    """The events of assets a run left in Airflow's database: URI, task, extra."""

    def read(dag_id: str, run: Run) -> list[tuple[str, str, dict[str, Any]]]:
        with sqlite3.connect(airflow_db) as db:
            found = db.execute(EVENTS, (dag_id, run.run_id)).fetchall()
        return [(uri, task_id, json.loads(extra)) for uri, task_id, extra in found]

    return read


Events = Callable[[str, Run], list[tuple[str, str, dict[str, Any]]]]


@both_modes
def test_the_event_of_an_asset_carries_what_was_saved(
    run_dag: RunDag, events: Events, tmp_path: Path, deferrable: bool
) -> None:
    with new_dag("asset") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/risks")],
            deferrable=deferrable,
            poll_interval=0.05,
        )
    run = run_dag(dag)

    result = run.xcom("export")
    assert events("asset", run) == [("file:///lake/risks", "export", result)]
    assert result["data_context"] == "risks"
    assert "columns" not in result


def test_an_alias_gets_the_saved_file_as_its_asset_without_its_connection(
    run_dag: RunDag, events: Events, bucket: Bucket
) -> None:
    with new_dag("alias") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=bucket.path("one & é.csv"),
            outlets=[AssetAlias("risk files")],
            poll_interval=0.05,
        )
    run = run_dag(dag)

    uri = f"s3://{bucket.name}/one & %C3%A9.csv"  # Airflow refuses other than ASCII
    result = run.xcom("export")
    assert (result["path"], result["uri"]) == (bucket.path("one & é.csv"), uri)
    assert events("alias", run) == [(uri, "export", result)]
    assert f"Saved download {result['download_id']} to {uri} in" in run.log


def test_each_mapped_task_and_a_save_alone_emit_their_own(
    run_dag: RunDag, events: Events, tmp_path: Path
) -> None:
    with new_dag("mapped_assets") as dag:
        OleriaDownloadOperator.partial(
            task_id="export",
            destination=f"file://{tmp_path}/{{{{ task.data_context }}}}.csv",
            outlets=[Asset("file:///lake/all")],
            poll_interval=0.05,
        ).expand(data_context=["identities", "employees"])
        create = OleriaDownloadOperator(task_id="create", data_context="risksV2", poll_interval=0.05)
        OleriaSaveDownloadOperator(
            task_id="save",
            download_id=create.output["download_id"],
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/risks")],
        )
    run = run_dag(dag)

    found = {(uri, extra["path"]): extra for uri, _, extra in events("mapped_assets", run)}
    assert found == {
        **{
            ("file:///lake/all", result["path"]): result
            for result in (run.xcom("export", map_index=0), run.xcom("export", map_index=1))
        },
        ("file:///lake/risks", f"file://{tmp_path}/risks.csv"): run.xcom("save"),
    }
    assert len(found) == 3


@pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="partitions came with Airflow 3.2")
def test_the_event_has_the_partition_key_of_its_run(
    run_dag: RunDag, airflow_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import CronPartitionTimetable
    from airflow.serialization.definitions.dag import SerializedDAG

    # The scheduler gives a run its key, dag.test() does not.
    create = partialmethod(SerializedDAG.create_dagrun, partition_key="2026-11-25")
    monkeypatch.setattr(SerializedDAG, "create_dagrun", create)
    timetable = CronPartitionTimetable("0 2 * * *", timezone="UTC", key_format="%Y-%m-%d")
    with DAG("partitioned", schedule=timetable, start_date=datetime(2026, 1, 1), catchup=False) as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/partitioned"), AssetAlias("partitioned risk files")],
            poll_interval=0.05,
        )
    run_dag(dag)

    with sqlite3.connect(airflow_db) as db:
        keys = db.execute(
            "select partition_key from asset_event where source_dag_id = 'partitioned'"
        ).fetchall()
    assert keys == [("2026-11-25",)] * 2


def test_an_asset_that_cannot_be_made_fails_nothing(run_dag: RunDag, tmp_path: Path) -> None:
    too_long_for_an_asset = "/".join(["x" * 200] * 8)
    with new_dag("no_asset") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/{too_long_for_an_asset}.csv",
            outlets=[AssetAlias("risk files")],
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert run.states == {"export": "success"}
    if AIRFLOW_V_3_0_PLUS:  # 2.11 sets no limit
        assert "The download is not affected." in run.log
