"""A task that is ended from outside leaves nothing behind, and logs what is known of its download."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, DAG

from .conftest import Run, RunDag, new_dag
from .exports import created, export_dag, remembering, when

Clear = Callable[[DAG, Run], Run]


def no_part_is_left(folder: Path) -> bool:
    return not list(folder.iterdir())


@pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="dag.test() of Airflow 2.11 lets the timeout through to its caller"
)
@pytest.mark.parametrize("while_", ["polling", "saving"])
def test_execution_timeout_leaves_nothing_and_logs_what_is_known(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, while_: str
) -> None:
    if while_ == "polling":
        oleria_sandbox.settings.export_seconds = 3600
    else:
        oleria_sandbox.fail(Fault(kind="fetch", stall=100, times=None))
    kind = "get" if while_ == "polling" else "fetch"
    dag = export_dag(tmp_path, execution_timeout=timedelta(minutes=5))
    # Airflow's alarm goes off at this moment, however slow the machine is; what it does is Airflow's own.
    with when(lambda: oleria_sandbox.count(kind) > 0, lambda: os.kill(os.getpid(), signal.SIGALRM)):
        run = run_dag(dag)

    assert run.states == {"export": "failed"}
    status = "accepted" if while_ == "polling" else "completed"
    assert f"Stopped waiting for download {created(oleria_sandbox)[0]} (last status: {status})" in run.log
    assert "its API cannot cancel a download" in run.log
    assert no_part_is_left(tmp_path)


@contextmanager
def killed_when(happened: Callable[[], bool]) -> Iterator[None]:
    """Do what Airflow's supervisor does to a task that is to end. The test is that task's process."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with when(happened, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@remembering
@pytest.mark.parametrize("while_", ["polling", "saving"])
def test_a_killed_task_leaves_nothing_logs_what_is_known_and_its_next_try_resumes(
    run_dag: RunDag, clear: Clear, oleria_sandbox: Sandbox, tmp_path: Path, while_: str
) -> None:
    if while_ == "polling":
        oleria_sandbox.settings.export_seconds = 3600
    else:
        oleria_sandbox.fail(Fault(kind="fetch", stall=100, times=1))
    kind = "get" if while_ == "polling" else "fetch"
    dag = export_dag(tmp_path)
    with killed_when(lambda: oleria_sandbox.count(kind) > 0):
        run = run_dag(dag)

    assert run.states == {"export": "failed"}
    status = "accepted" if while_ == "polling" else "completed"
    assert f"Stopped waiting for download {created(oleria_sandbox)[0]} (last status: {status})" in run.log
    assert no_part_is_left(tmp_path)
    oleria_sandbox.settings.export_seconds = 0
    run = clear(dag, run)

    assert run.states == {"export": "success"}
    assert len(created(oleria_sandbox)) == 1


@remembering
def test_a_killed_save_leaves_nothing(run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", stall=100, times=1))
    with new_dag("killed_save") as dag:
        create = OleriaDownloadOperator(task_id="create", data_context="identities", poll_interval=0.05)
        OleriaSaveDownloadOperator(
            task_id="save",
            download_id=create.output["download_id"],
            destination=f"file://{tmp_path}/out.csv",
        )
    with killed_when(lambda: oleria_sandbox.count("fetch") > 0):
        run = run_dag(dag)

    assert run.states == {"create": "success", "save": "failed"}
    assert no_part_is_left(tmp_path)


def test_on_kill_of_a_trigger_logs_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    trigger = OleriaDownloadTrigger("id-1")
    trigger._log = logging.getLogger("trigger")  # Airflow 3's own goes past pytest
    asyncio.run(trigger.on_kill())

    assert "Stopped waiting for download id-1 (last status: accepted)" in caplog.text
    assert "its API cannot cancel a download" in caplog.text
