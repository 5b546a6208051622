"""The main job in real Airflow: every way to export, in both modes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor
from tests.airflow_names import task

from .conftest import RunDag, new_dag

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])


def assert_whole(sandbox: Sandbox, result: dict[str, Any]) -> None:
    """The file is exactly what the sandbox served, and the result describes it."""
    expected = sandbox.expected(result["download_id"])
    file = Path(result["path"].removeprefix("file://"))
    assert file.read_bytes() == Path(expected.path).read_bytes()
    assert (result["row_count"], result["size_bytes"], result["sha256"]) == (
        expected.row_count,
        expected.size_bytes,
        expected.sha256,
    )
    assert result["status"] == "completed"


@both_modes
def test_create_wait_save(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, triggers_seen: list[Any], deferrable: bool
) -> None:
    with new_dag("create_wait_save") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context="accessInventoryIdentitiesV2",
            filter_by=[Filter.string("department").eq("Engineering")],
            sort_by=[Sort.desc("createdAt")],
            destination=f"file://{tmp_path}/ds={{{{ ds }}}}/identities.csv",
            deferrable=deferrable,
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert run.states == {"export": "success"}
    result = run.xcom("export")
    assert_whole(oleria_sandbox, result)
    assert result["data_context"] == "accessInventoryIdentitiesV2"
    assert "ds=20" in result["path"]
    assert run.xcom("export", "row_count") == result["row_count"]
    with Path(result["path"].removeprefix("file://")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["department"] for row in rows} == {"Engineering"}
    assert [row["createdAt"] for row in rows] == sorted((row["createdAt"] for row in rows), reverse=True)
    counts = {kind: oleria_sandbox.count(kind) for kind in ("token", "create", "fetch")}
    assert counts == {"token": 1, "create": 1, "fetch": 1}
    assert bool(triggers_seen) == deferrable


@both_modes
def test_without_destination_it_ends_when_the_export_is_complete(
    run_dag: RunDag, oleria_sandbox: Sandbox, deferrable: bool
) -> None:
    with new_dag("no_destination") as dag:
        OleriaDownloadOperator(
            task_id="export", data_context=DataContext.RISKS, deferrable=deferrable, poll_interval=0.05
        )
    run = run_dag(dag)

    result = run.xcom("export")
    assert result.keys() == {"download_id", "data_context", "status"}
    assert result["status"] == "completed"
    assert oleria_sandbox.count("fetch") == 0


@pytest.mark.parametrize(
    "how",
    [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}],
    ids=["poke", "reschedule", "deferrable"],
)
def test_split_into_create_sensor_save(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, how: dict[str, Any]
) -> None:
    with new_dag("split") as dag:
        create = OleriaDownloadOperator(task_id="create", data_context="risksV2", wait_for_completion=False)
        download_id = create.output["download_id"]
        wait = OleriaDownloadSensor(
            task_id="wait", download_id=download_id, poke_interval=0.1, timeout=60, **how
        )
        save = OleriaSaveDownloadOperator(
            task_id="save", download_id=download_id, destination=f"file://{tmp_path}/risks.csv"
        )
        create >> wait >> save
    run = run_dag(dag)

    assert run.states == {"create": "success", "wait": "success", "save": "success"}
    assert run.xcom("create")["status"] == "accepted"
    assert_whole(oleria_sandbox, run.xcom("save"))
    assert "data_context" not in run.xcom("save")


@both_modes
def test_mapped_over_three_contexts(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    contexts = [DataContext.IDENTITIES, DataContext.EMPLOYEES, DataContext.ACTIVITY_ANALYSIS]
    with new_dag("mapped") as dag:
        export = OleriaDownloadOperator.partial(
            task_id="export",
            destination=f"file://{tmp_path}/{{{{ task.data_context }}}}.csv",
            deferrable=deferrable,
            poll_interval=0.05,
        ).expand(data_context=contexts)

        @task
        def total(exports: list[dict[str, Any]]) -> int:
            return sum(item["row_count"] for item in exports)

        total(export.output)
    run = run_dag(dag)

    assert set(run.states.values()) == {"success"}
    results = [run.xcom("export", map_index=index) for index in range(3)]
    for context, result in zip(contexts, results, strict=True):
        assert result["path"] == f"file://{tmp_path}/{context}.csv"
        assert_whole(oleria_sandbox, result)
    assert run.xcom("total") == sum(result["row_count"] for result in results)
    assert oleria_sandbox.count("create") == 3
    assert oleria_sandbox.count("token") == 1


def test_filters_are_templated_inside(run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    with new_dag("templated") as dag:
        dag.params["days"] = 30
        dag.params["column"] = "createdAt"
        OleriaDownloadOperator(
            task_id="export",
            data_context="{{ 'account' + 'Utilization' }}",
            filter_by=[Filter.number("dormantDays").gte("{{ params.days }}")],
            sort_by=[Sort.asc("{{ params.column }}")],
            destination=f"file://{tmp_path}/out.csv",
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert run.states == {"export": "success"}
    body = next(call.body for call in oleria_sandbox.calls if call.kind == "create")
    assert body["context"] == "accountUtilization"
    assert body["params"]["filterBy"][0]["values"] == [30]
    assert body["params"]["sortBy"] == [{"field": "createdAt", "sortType": "asc"}]


def test_the_hook_in_a_task(run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    with new_dag("taskflow") as dag:

        @task
        def export() -> dict[str, Any]:
            hook = OleriaHook()
            download = hook.create_download(DataContext.OLERIA_USERS)
            hook.wait_for_download(download.download_id, poll_interval=0.05)
            return hook.save_download(download.download_id, f"file://{tmp_path}/users.csv")

        @task
        def careless() -> Any:
            hook = OleriaHook()
            download = hook.create_download(DataContext.OLERIA_USERS)
            return hook.wait_for_download(download.download_id, poll_interval=0.05)

        export()
        careless()
    run = run_dag(dag)

    assert run.states == {"export": "success", "careless": "success"}
    assert_whole(oleria_sandbox, run.xcom("export"))
