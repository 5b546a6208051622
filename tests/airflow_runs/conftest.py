"""Runs a DAG in real Airflow, and looks whether a secret got out of it."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, DAG
from tests.leaks import assert_no_secret

# dag.test() on Airflow 3 prints, at DEBUG, each request to its in-process supervisor: those to mask a secret too, with
# the secret, for every caller (Airflow itself does for every Connection's password and extra). A real task's
# supervisor leaves that body out.
AIRFLOWS_OWN = re.compile(r"Sending request\s.*msg=MaskSecret\(")

REMEMBERS = AIRFLOW_V_3_3_PLUS
"""Whether Airflow remembers something from try to try: ``task_state_store``."""

MOMENTS = itertools.count()
LOGICAL_DATE = "logical_date" if AIRFLOW_V_3_0_PLUS else "execution_date"

INSTANCES = "select task_id, map_index, state, try_number from task_instance where dag_id = ? and run_id = ?"
XCOMS = "select task_id, map_index, key, value from xcom where dag_id = ? and run_id = ?"


class RunDag(Protocol):
    """Run a DAG, now or at a logical date; on Airflow 3 also without one, created at ``run_after``."""

    def __call__(
        self, dag: DAG, logical_date: datetime | None = None, *, run_after: datetime | None = None
    ) -> Run: ...


@dataclass
class Run:
    """What a DAG run left behind."""

    run_id: str
    states: dict[str, str]
    tries: dict[str, int]
    log: str
    _xcoms: list[tuple[str, int, str, Any]] = field(repr=False)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        return next(value for *where, value in self._xcoms if where == [task_id, map_index, key])


def new_dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1))


@pytest.fixture
def triggers_seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The row of each trigger that ran, and its event, as Airflow stores them."""
    seen: list[Any] = []
    original = OleriaDownloadTrigger.run

    async def watched(self: OleriaDownloadTrigger) -> AsyncIterator[Any]:
        seen.append(self.serialize())
        async for event in original(self):
            seen.append(event.payload)
            yield event

    monkeypatch.setattr(OleriaDownloadTrigger, "run", watched)
    return seen


@pytest.fixture
def observed(
    airflow_db: Path,
    oleria_sandbox: Sandbox,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    triggers_seen: list[Any],
) -> Callable[[str, Callable[[], str]], Run]:
    """Tell what became of a DAG run, given its DAG and what runs it; no secret may be seen anywhere afterwards."""

    def observe(dag_id: str, go: Callable[[], str]) -> Run:
        # The session's own capture: Airflow's loggers keep the stream they first saw, so capfd would miss them.
        capture = request.config.pluginmanager.getplugin("capturemanager")
        capture.read_global_capture()
        caplog.clear()
        run_id = go()
        out, err = capture.read_global_capture()
        print(out)
        log = "\n".join(
            line for line in (out + err + caplog.text).splitlines() if not AIRFLOWS_OWN.search(line)
        )
        with sqlite3.connect(airflow_db) as db:
            which = dag_id, run_id
            instances = db.execute(INSTANCES, which).fetchall()
            xcoms = db.execute(XCOMS, which).fetchall()
            # The dump has the bytes of Airflow 2.11's XComs as hexadecimal digits.
            dump = "\n".join(db.iterdump())
            assert_no_secret(oleria_sandbox, log, dump, repr(xcoms), repr(triggers_seen))
            return Run(
                run_id=run_id,
                states={_name(task, index): state for task, index, state, _ in instances},
                tries={_name(task, index): number for task, index, _, number in instances},
                log=log,
                _xcoms=[(task, index, key, _value(value)) for task, index, key, value in xcoms],
            )

    return observe


@pytest.fixture
def run_dag(observed: Callable[[str, Callable[[], str]], Run]) -> RunDag:
    """Run a DAG with ``dag.test()``, which runs deferred tasks too.

    A deferred task receives its trigger's first event, as from a triggerer. Not as when deployed (Airflow 3.3.2): it is
    resumed without an event, too; a deferral has no timeout; the arguments of ``defer`` are lost. Those faults are in
    tests/system/trigger_faults.py.
    """

    def run(dag: DAG, logical_date: datetime | None = None, *, run_after: datetime | None = None) -> Run:
        register(dag)
        if run_after is not None:
            return observed(dag.dag_id, lambda: dag.test(logical_date=None, run_after=run_after).run_id)
        # dag.test() of Airflow 2.11 fails to replace a run of the very same moment.
        when = (logical_date or datetime.now(UTC)) + timedelta(microseconds=next(MOMENTS))
        return observed(dag.dag_id, lambda: dag.test(**{LOGICAL_DATE: when}).run_id)

    return run


@pytest.fixture
def clear(observed: Callable[[str, Callable[[], str]], Run]) -> Callable[[DAG, Run], Run]:
    """Clear all tasks of a run, as the UI does, and run them again: one more try each (Airflow 3)."""

    def run_again(dag: DAG, run: Run) -> Run:
        return observed(dag.dag_id, lambda: _run_again(dag, run.run_id))

    return run_again


def _run_again(dag: DAG, run_id: str) -> str:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        which = (DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)
        dag_run = session.scalars(select(DagRun).where(*which)).one()
        clear_task_instances(dag_run.get_task_instances(session=session), session)
        session.commit()
        for instance in dag_run.get_task_instances(session=session):
            instance.try_number += 1
            instance.state = "scheduled"
            session.commit()
            _run_task(ti=instance, task=dag.task_dict[instance.task_id], run_triggerer=True)
    return run_id


def _name(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def _value(stored: Any) -> Any:
    value = json.loads(stored) if isinstance(stored, str | bytes) else stored
    return json.loads(value) if isinstance(value, str) and value and value[0] in '{["' else value


def register(dag: DAG) -> None:
    """Airflow 3 runs only what it has parsed from a bundle and stored; 2.11 any DAG, but without its assets."""
    if not AIRFLOW_V_3_0_PLUS:
        dag.sync_to_db()
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    bag, sync_to_db = _empty_bag()
    dag.relative_fileloc = f"{dag.dag_id}.py"  # as a bag that reads files does; Airflow 3.0 stores it
    bag.bag_dag(dag)
    sync_to_db(bag, "dags-folder", None)


def _empty_bag() -> tuple[Any, Callable[[Any, str, None], Any]]:
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # before Airflow 3.2
        from airflow.models import dagbag

        return dagbag.DagBag("/dev/null"), getattr(dagbag, "sync_bag_to_db", None) or dagbag.DagBag.sync_to_db
    return DagBag("/dev/null", bundle_name="dags-folder"), sync_bag_to_db
