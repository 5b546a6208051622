"""One task run, one export, in real Airflow: what a retry and a cleared task resume, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.exceptions import OleriaTransientError
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.airflow_names import DAG

from .conftest import REMEMBERS, Run, RunDag, new_dag
from .exports import created, export_dag, remembering, rotate, when
from .test_download_runs import assert_whole, both_modes

Clear = Callable[[DAG, Run], Run]

RESUMING = "Resuming download"
REPLACING = "Starting a new download instead of resuming"


@remembering
@both_modes
def test_an_export_still_being_made_is_waited_for_by_the_next_try(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=200, body="<html>"))
    run = run_dag(export_dag(tmp_path, deferrable=deferrable, retries=1))

    assert run.tries == {"export": 2}
    assert RESUMING in run.log
    assert len(created(oleria_sandbox)) == 1
    assert_whole(oleria_sandbox, run.xcom("export"))


@remembering
@both_modes
def test_a_completed_export_is_saved_by_the_next_try_without_a_new_one(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool, triggers_seen: list[Any]
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    run = run_dag(export_dag(tmp_path, deferrable=deferrable, retries=1))

    assert run.tries == {"export": 2}
    assert ": completed." in run.log
    assert len(created(oleria_sandbox)) == 1
    assert len(triggers_seen) == (2 if deferrable else 0)
    assert_whole(oleria_sandbox, run.xcom("export"))


@remembering
@both_modes
def test_a_task_cleared_after_a_failure_resumes_its_download(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    dag = export_dag(tmp_path, deferrable=deferrable)
    run = run_dag(dag)
    assert run.states == {"export": "failed"}
    run = clear(dag, run)

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 1
    assert_whole(oleria_sandbox, run.xcom("export"))


HOW = [{}, {"destination": None}, {"destination": None, "wait_for_completion": False}]


@remembering
@both_modes
@pytest.mark.parametrize("how", HOW, ids=["saved", "complete", "created"])
def test_a_task_cleared_after_a_success_makes_a_fresh_export(
    run_dag: RunDag,
    clear: Clear,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    *,
    how: dict[str, Any],
    deferrable: bool,
) -> None:
    dag = export_dag(tmp_path, deferrable=deferrable, **how)
    first = run_dag(dag)
    second = clear(dag, first)

    assert first.states == second.states == {"export": "success"}
    assert [run.xcom("export", "download_id") for run in (first, second)] == created(oleria_sandbox)
    assert len(set(created(oleria_sandbox))) == 2


@remembering
@both_modes
def test_a_failed_export_is_replaced_when_the_task_is_cleared(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.fail(Fault(kind="create", export_fails="E42"))
    dag = export_dag(tmp_path, deferrable=deferrable)
    run = clear(dag, run_dag(dag))

    assert run.states == {"export": "success"}
    assert f"{REPLACING} {created(oleria_sandbox)[0]} of an earlier try: it failed (E42: " in run.log
    assert run.xcom("export", "download_id") == created(oleria_sandbox)[1]


@remembering
@both_modes
def test_an_export_that_is_gone_is_replaced_by_the_next_try(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=404, times=2))
    run = run_dag(export_dag(tmp_path, deferrable=deferrable, retries=1))

    assert run.tries == {"export": 2}
    assert f"{REPLACING} {created(oleria_sandbox)[0]} of an earlier try: Oleria does not know it" in run.log
    assert run.xcom("export", "download_id") == created(oleria_sandbox)[1]


@remembering
@both_modes
def test_an_export_that_is_not_known_for_a_moment_is_gone_on_with(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=404, times=1))
    run = run_dag(export_dag(tmp_path, deferrable=deferrable, retries=1))

    assert run.tries == {"export": 2}
    assert [run.xcom("export", "download_id")] == created(oleria_sandbox)


@remembering
@both_modes
@pytest.mark.parametrize(
    ("wrong", "corrected"),
    [
        ({"min_rows": 10**9}, {"min_rows": 1}),
        ({"exact_columns": ["id"]}, {}),
        (
            {"destination": "file://{}/out.parquet", "column_types": {"department": "int64"}},
            {"destination": "file://{}/out.parquet"},
        ),
    ],
    ids=["rows", "columns", "types"],
)
def test_a_corrected_check_or_type_saves_the_same_download(
    run_dag: RunDag,
    clear: Clear,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    *,
    wrong: dict[str, Any],
    corrected: dict[str, Any],
    deferrable: bool,
) -> None:
    def dag(arguments: dict[str, Any]) -> DAG:
        arguments = {
            name: value.format(tmp_path) if name == "destination" else value
            for name, value in arguments.items()
        }
        return export_dag(tmp_path, deferrable=deferrable, **arguments)

    run = run_dag(dag(wrong))
    assert run.states == {"export": "failed"}
    run = clear(dag(corrected), run)

    assert run.states == {"export": "success"}
    assert [run.xcom("export", "download_id")] == created(oleria_sandbox)


@remembering
def test_a_refused_file_is_replaced_when_the_task_is_cleared_without_a_change(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    dag = export_dag(tmp_path, min_rows=10**9)
    run = clear(dag, run_dag(dag))

    assert "its file was refused, and neither the checks nor the format have changed" in run.log
    assert len(created(oleria_sandbox)) == 2


@remembering
@both_modes
@pytest.mark.parametrize("visible", [True, False])
def test_a_rotation_of_client_id_and_secret_keeps_the_download_that_the_new_ones_may_see(
    run_dag: RunDag,
    clear: Clear,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    visible: bool,
    deferrable: bool,
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    dag = export_dag(tmp_path, deferrable=deferrable)
    run = run_dag(dag)
    oleria_sandbox.rotate_credentials()
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", oleria_sandbox.connection_json())
    if not visible:
        oleria_sandbox.fail(Fault(kind="get", status=403, times=1))
    run = clear(dag, run)

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == (1 if visible else 2)


@remembering
def test_a_download_is_not_resumed_with_another_connection_id(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    run = run_dag(export_dag(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", oleria_sandbox.connection_json())
    run = clear(export_dag(tmp_path, oleria_conn_id="other"), run)

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 2


@remembering
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"data_context": "employees"}, "it was started with other arguments, or for another Connection"),
        ({"resume_window": 0.001}, "resume_window is 0 s"),
    ],
    ids=["other request", "too old"],
)
def test_an_export_that_is_not_the_one_wanted_now_is_replaced(
    run_dag: RunDag,
    clear: Clear,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    *,
    changed: dict[str, Any],
    why: str,
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    run = run_dag(export_dag(tmp_path))
    run = clear(export_dag(tmp_path, **changed), run)

    assert run.states == {"export": "success"}
    assert why in run.log
    assert run.xcom("export", "download_id") == created(oleria_sandbox)[1]


def test_a_deferred_task_whose_data_context_has_changed_does_not_save_the_download(
    oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Without a DAG run: dag.test() loses the arguments of a deferral."""

    def operator(data_context: str) -> OleriaDownloadOperator:
        destination = f"file://{tmp_path}/{data_context}.csv"
        return OleriaDownloadOperator(
            task_id="export", data_context=data_context, destination=destination, deferrable=True
        )

    oleria_sandbox.settings.export_seconds = 0
    with pytest.raises(TaskDeferred) as deferral:
        operator("identities").execute({})
    kwargs, event = deferral.value.kwargs, {"status": "completed", "download_id": created(oleria_sandbox)[0]}
    with pytest.raises(
        OleriaTransientError, match="is of identities, and the task now exports risks: the DAG has changed"
    ):
        operator("risks").execute_complete({}, event, **kwargs)
    assert not list(tmp_path.iterdir())

    operator("identities").execute_complete({}, event, **kwargs)
    assert [path.name for path in tmp_path.iterdir()] == ["identities.csv"]


@remembering
def test_a_download_of_another_tenant_is_not_resumed(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    dag = export_dag(tmp_path)
    run = run_dag(dag)
    moved = oleria_sandbox.connection_json().replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", moved)
    run = clear(dag, run)

    assert "it was started with other arguments, or for another Connection" in run.log
    assert len(created(oleria_sandbox)) == 2


def test_without_durable_every_try_starts_a_new_export(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    run = run_dag(export_dag(tmp_path, durable=False, retries=1))

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 2


@pytest.mark.skipif(REMEMBERS, reason="what Airflow before 3.3 does")
def test_before_airflow_3_3_every_try_starts_a_new_export(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=8))
    run = run_dag(export_dag(tmp_path, retries=1))

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 2


@remembering
@both_modes
def test_a_mapped_task_never_takes_the_export_of_another_index(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    contexts = [DataContext.IDENTITIES, DataContext.IDENTITIES, DataContext.RISKS]
    with new_dag("reattach_mapped") as dag:
        OleriaDownloadOperator.partial(
            task_id="export", poll_interval=0.05, deferrable=deferrable
        ).expand_kwargs(
            [
                {"data_context": str(context), "destination": f"file://{tmp_path}/{index}.csv"}
                for index, context in enumerate(contexts)
            ]
        )
    oleria_sandbox.fail(Fault(kind="fetch", status=503, times=24))
    run = run_dag(dag)
    assert set(run.states.values()) == {"failed"}
    started = created(oleria_sandbox)
    run = clear(dag, run)

    assert set(run.states.values()) == {"success"}
    assert created(oleria_sandbox) == started
    assert sorted(started) == sorted(run.xcom("export", "download_id", index) for index in range(3))
    for index in range(3):
        assert_whole(oleria_sandbox, run.xcom("export", map_index=index))
        assert run.xcom("export", "path", index) == f"file://{tmp_path}/{index}.csv"


@remembering
@both_modes
def test_the_timeout_counts_from_the_creation_whichever_try_waits(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, deferrable: bool
) -> None:
    oleria_sandbox.settings.export_seconds = 3600
    dag = export_dag(tmp_path, timeout=0.5, deferrable=deferrable, retries=2)
    run = run_dag(dag)

    # The first try waits until the time is up; each of the others polls twice: for the status, and a last time.
    assert run.states == {"export": "failed"}
    assert run.tries == {"export": 3}
    assert len(created(oleria_sandbox)) == 1
    assert run.log.count(RESUMING) >= 2
    assert f"{created(oleria_sandbox)[0]} did not complete in time" in run.log
    oleria_sandbox.settings.export_seconds = 0
    run = clear(dag, run)

    assert run.states == {"export": "success"}, "what is complete is saved, however late"
    assert len(created(oleria_sandbox)) == 1


@remembering
def test_every_deferral_of_an_export_has_the_same_deadline(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, triggers_seen: list[Any]
) -> None:
    oleria_sandbox.settings.export_seconds = 3600
    oleria_sandbox.fail(Fault(kind="get", status=200, body="<html>"))
    # One poll by the first trigger, one by the next try, one by its trigger.
    with when(
        lambda: oleria_sandbox.count("get") >= 3,
        lambda: oleria_sandbox.settings.update({"export_seconds": 0}),
    ):
        run = run_dag(export_dag(tmp_path, deferrable=True, retries=1))

    deadlines = [seen[1]["deadline"] for seen in triggers_seen if isinstance(seen, tuple)]
    assert run.tries == {"export": 2}
    assert len(deadlines) == 2
    assert len(set(deadlines)) == 1


@remembering
def test_more_timeout_gives_the_same_export_more_time(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    oleria_sandbox.settings.export_seconds = 3600
    run = run_dag(export_dag(tmp_path, timeout=0.1))
    with when(
        lambda: oleria_sandbox.count("get") > 8, lambda: oleria_sandbox.settings.update({"export_seconds": 0})
    ):
        run = clear(export_dag(tmp_path, timeout=3600), run)

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 1


@remembering
def test_a_retry_after_a_timeout_starts_again_if_resume_window_is_short(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    oleria_sandbox.settings.export_seconds = 3600
    run_dag(export_dag(tmp_path, timeout=0.2, resume_window=0.2, retries=1))

    assert len(created(oleria_sandbox)) == 2


@both_modes
@pytest.mark.parametrize("client_id", [False, True], ids=["secret", "client id and secret"])
def test_a_rotation_mid_wait_is_picked_up(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, *, client_id: bool, deferrable: bool
) -> None:
    def rotate_and_end() -> None:
        rotate(oleria_sandbox, client_id=client_id)
        oleria_sandbox.settings.update({"export_seconds": 0})

    oleria_sandbox.settings.export_seconds = 3600
    with when(lambda: oleria_sandbox.count("get") >= 3, rotate_and_end):
        run = run_dag(export_dag(tmp_path, deferrable=deferrable))

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 1
    mints = [call.status for call in oleria_sandbox.calls if call.kind == "token"]
    assert mints[:2] == [200, 401]
    assert mints.count(200) == 2
    assert_whole(oleria_sandbox, run.xcom("export"))
