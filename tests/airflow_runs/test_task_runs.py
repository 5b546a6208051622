"""The hook in a ``@task``, in real Airflow: results, async tasks, retry policies, Connections that do not exist."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.exceptions import OleriaConfigurationError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.sensors.oleria import OleriaDownloadSensor
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger, completed_download
from tests.airflow_names import AIRFLOW_V_3_3_PLUS, task

from .conftest import RunDag, new_dag

on_3_3 = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="async tasks and retry policies of Airflow 3.3")


def test_results_are_plain_dicts_for_the_next_task(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    with new_dag("results") as dag:

        @task
        def wait() -> Any:
            hook = OleriaHook()
            created = hook.create_download(DataContext.RISKS)
            return hook.wait_for_download(created.download_id, poll_interval=0.05)

        @task
        def save(download: dict[str, Any]) -> Any:
            assert type(download) is dict
            return OleriaHook().save_download(download["download_id"], f"file://{tmp_path}/risks.csv")

        @task
        def count(saved: dict[str, Any]) -> int:
            assert type(saved) is dict
            return saved["row_count"]

        count(save(wait()))
    run = run_dag(dag)

    assert set(run.states.values()) == {"success"}
    assert run.xcom("wait").keys() == {"download_id", "status", "error"}
    assert run.xcom("count") == oleria_sandbox.expected(run.xcom("wait")["download_id"]).row_count


def test_options_and_columns_are_plain_dicts_for_the_next_task(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    with new_dag("plain") as dag:

        @task
        def choose() -> Any:
            return SaveOptions(min_rows=1, null_values=["N/A"], required_columns=["severity"])

        @task
        def make(options: dict[str, Any]) -> Any:
            assert type(options) is dict
            hook = OleriaHook()
            created = hook.create_download(DataContext.RISKS)
            hook.wait_for_download(created.download_id, poll_interval=0.05)
            checks = SaveOptions(**{**options, "required_columns": None, "null_values": ()})
            return hook.save_download(created.download_id, f"file://{tmp_path}/x.csv", checks).columns

        @task
        def name(columns: Any) -> list[str]:
            return [column["name"] for column in columns]

        name(make(choose()))
    run = run_dag(dag)

    assert set(run.states.values()) == {"success"}
    header = (tmp_path / "x.csv").read_text().splitlines()[0]
    assert ",".join(run.xcom("name")) == header


def test_the_settings_with_the_secret_are_no_result(run_dag: RunDag, oleria_sandbox: Sandbox) -> None:
    with new_dag("settings") as dag:

        @task
        def leak() -> Any:
            return OleriaHook()._settings

        leak()
    run = run_dag(dag)  # looks for secrets in the XComs, too

    assert run.states == {"leak": "failed"}


@on_3_3
def test_the_async_methods_in_an_async_task(run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    with new_dag("async_task") as dag:

        @task
        async def export() -> list[dict[str, Any]]:
            hook = OleriaHook()

            async def one(data_context: str) -> str:
                created = await hook.acreate_download(data_context)
                done = await hook.await_for_download(created.download_id, poll_interval=0.05)
                assert (await hook.aget_download(done.download_id)).url
                return done.download_id

            # One after the other: dag.test()'s stand-in for the supervisor serves one thread at a time (3.3.2). Several
            # at once run in tests/system/trigger_faults.py.
            done = [await one(data_context) for data_context in ("risks", "employees", "identities")]
            return [await hook.asave_download(each, f"file://{tmp_path}/{each}.csv") for each in done]

        export()
    run = run_dag(dag)

    assert run.states == {"export": "success"}
    for saved in run.xcom("export"):
        assert Path(saved["path"].removeprefix("file://")).stat().st_size == saved["size_bytes"]
        assert saved["download_id"] in saved["path"]


@on_3_3
@pytest.mark.parametrize(("secret_is_wrong", "tries"), [(True, 1), (False, 2)])
def test_a_retry_policy_fails_at_once_for_fatal_errors_only(
    run_dag: RunDag, oleria_sandbox: Sandbox, *, secret_is_wrong: bool, tries: int
) -> None:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    from airflow_provider_oleria.exceptions import OleriaFatalError

    policy = ExceptionRetryPolicy(rules=[RetryRule(exception=OleriaFatalError, action=RetryAction.FAIL)])
    if secret_is_wrong:
        oleria_sandbox.rotate_secret()
    oleria_sandbox.settings.export_seconds = 3600
    with new_dag("retry_policy") as dag:

        @task(retries=1, retry_delay=timedelta(0), retry_policy=policy)
        def export() -> None:
            hook = OleriaHook()
            created = hook.create_download(DataContext.RISKS)
            hook.wait_for_download(created.download_id, poll_interval=0.05, timeout=0.2)

        export()
    run = run_dag(dag)

    assert run.states == {"export": "failed"}
    assert run.tries == {"export": tries}


def test_a_mapped_task_with_a_wrong_argument_fails_at_once_and_the_others_run(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    good = {"data_context": "risks", "min_rows": "1", "destination": f"file://{tmp_path}/x.csv"}
    wrong = [
        {"data_context": "risks", "min_rows": "many"},
        {"data_context": None},
        {"data_context": "risks", "filter_by": [{"field": "a"}]},
        {"data_context": "risks", "destination": "x.csv"},
    ]
    retries: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(0)}
    with new_dag("mapped") as dag:
        OleriaDownloadOperator.partial(task_id="export", poll_interval=0.05, **retries).expand_kwargs(
            [good, *wrong]
        )
        OleriaDownloadSensor.partial(task_id="wait", **retries).expand(download_id=[7])
    run = run_dag(dag)

    refused = [f"export[{number}]" for number in range(1, 5)] + ["wait[0]"]
    assert run.states == {"export[0]": "success", **dict.fromkeys(refused, "failed")}
    assert set(run.tries.values()) == {1}
    assert oleria_sandbox.count("create") == 1
    assert "min_rows must be a whole number, not 'many'" in run.log


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_connection_that_does_not_exist_fails_at_once(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    arguments: dict[str, Any] = {
        "oleria_conn_id": "no_such_connection",
        "deferrable": deferrable,
        "retries": 2,
        "retry_delay": timedelta(0),
    }
    with new_dag("no_connection") as dag:
        destination = f"file://{tmp_path}/x.csv"
        OleriaDownloadOperator(task_id="export", data_context="risks", destination=destination, **arguments)
        OleriaDownloadSensor(task_id="wait", download_id="id-1", **arguments)
    run = run_dag(dag)

    assert run.states == {"export": "failed", "wait": "failed"}
    assert run.tries == {"export": 1, "wait": 1}
    assert "Connection 'no_such_connection' does not exist" in run.log
    assert not oleria_sandbox.calls


@pytest.mark.usefixtures("airflow_db")
def test_a_connection_that_does_not_exist_is_named_by_the_trigger() -> None:
    async def fired() -> list[Any]:
        trigger = OleriaDownloadTrigger("id-1", "no_such_connection")
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(fired())
    with pytest.raises(OleriaConfigurationError, match="Connection 'no_such_connection' does not exist"):
        completed_download(event)
