"""What becomes of a task whose wait in the triggerer fails: each way in one DAG run, all at once.

``dag.test()`` is kinder (Airflow 3.3.2): it resumes a task whose trigger has fired no event, and knows no timeout of a
deferral. It does not end an async task as a worker does, either.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.leaks import assert_no_secret
from tests.servers.processes import until

from .cluster import Cluster
from .scenario import Row

pytestmark = pytest.mark.timeout(3600)

RUN = "dag_id = 'trigger_faults' and run_id = 'trigger_faults'"
STATES = f"select task_id, state, try_number from task_instance where {RUN}"
LET_DEFERRALS_TIME_OUT = (
    f"update task_instance set trigger_timeout = now() where {RUN} and task_id in %s returning task_id"
)
STILL_DEFERRED = f"select 1 from task_instance where {RUN} and task_id in %s and state = 'deferred'"
RESULTS = f"select value from xcom where {RUN} and key = 'return_value' and task_id like 'export%%'"
NOTED = re.compile(
    r"Received executor event with state success .*task_id='(\w+)', run_id='trigger_faults', try_number=1,"
)

TASKS = {
    # The time of creation has survived the deferral.
    "export_done": ("success", 1, " s after its start"),
    # What a retry cannot fix uses up no retry.
    "export_failed": ("failed", 1, "Oleria could not complete download"),
    "sensor_failed": ("failed", 1, "Oleria could not complete download"),
    # What it may fix is tried again.
    "export_unreadable": ("success", 2, "with no JSON object"),
    "export_broken": ("success", 2, "failed in the triggerer: TypeError"),
    "export_silent": ("success", 2, "Trigger failure"),
    "export_lost": ("success", 2, "Trigger timeout"),
    "export_late": ("failed", 2, "did not complete in time"),
    "sensor_silent": ("failed", 2, "Trigger failure"),
    # A sensor that has waited long enough does not wait again.
    "sensor_late": ("failed", 1, "did not complete in time"),
    "sensor_late_soft": ("skipped", 1, "did not complete in time"),
    "sensor_lost": ("failed", 1, "the trigger was lost, and the time is up"),
    "sensor_lost_soft": ("skipped", 1, "the trigger was lost, and the time is up"),
    # Beside them:
    "create": ("success", 1, ""),
    "async_exports": ("success", 1, "Saved download"),
    "async_wait": ("failed", 1, "AirflowTaskTimeout"),
    "async_save": ("failed", 1, "AirflowTaskTimeout"),
}
"""Task → its last state, its tries, and what its log has. Each task has one retry, the async ones that fail none."""

LOST = ("export_lost", "sensor_lost", "sensor_lost_soft")
# Not the one whose time may be up before it is deferred: that ends the same way.
DEFERRED = {name for name in TASKS if name.startswith(("export", "sensor"))} - {"export_late"}


@pytest.fixture
def sandboxes(cluster: Cluster) -> Iterator[dict[str, Sandbox]]:
    """One for each fault, by the id of its Connection."""
    with ExitStack() as stack:
        sandboxes = {
            name: stack.enter_context(Sandbox(export_seconds=seconds))
            for name, seconds in [
                ("done", 0),
                ("endless", 24 * 3600),
                ("failed", 24 * 3600),
                ("unreadable", 0),
                ("stalled", 0),
            ]
        }
        failed = {"status": "failed", "error": {"code": "E42", "message": "The export is too wide."}}
        # The first poll is that of a sensor in its worker.
        sandboxes["failed"].fail(Fault("get", nth=2, times=None, fields=failed))
        # Fails the trigger; the next try's first poll is answered.
        sandboxes["unreadable"].fail(Fault("get", status=200, body="<html>"))
        sandboxes["stalled"].fail(Fault("fetch", stall=100, times=None))
        for name, sandbox in sandboxes.items():
            cluster.add_connection(sandbox.connection_json(), name)
        yield sandboxes


def test_trigger_faults(
    cluster: Cluster, sandboxes: dict[str, Sandbox], folder: Path, rows: list[Row]
) -> None:
    started = time.monotonic()
    lake = folder / "lake" / "trigger_faults"
    lake.mkdir(parents=True)
    # Airflow starts another try when a deferral ends before its scheduler has noted that it began.
    with cluster.paused("triggerer"):
        cluster.trigger("trigger_faults", "trigger_faults")
        until(lambda: noted(cluster) >= DEFERRED, "the scheduler has noted every deferral")
        assert len(cluster.rows(LET_DEFERRALS_TIME_OUT, LOST)) == len(LOST)
        until(lambda: not cluster.rows(STILL_DEFERRED, LOST), "their deferrals have timed out")
    ends = until(lambda: ended(cluster), "all tasks have ended")

    assert ends == {name: (state, tries) for name, (state, tries, _) in TASKS.items()}
    logs = {name: log(cluster, name) for name in TASKS}
    assert [name for name, (*_, text) in TASKS.items() if text not in logs[name]] == []
    again = {name for name, (_, tries, _) in TASKS.items() if name.startswith("export") and tries > 1}
    assert {name for name in TASKS if "Resuming download" in logs[name]} == again
    # One download for each task, however often it was tried, and one for each sandbox with sensors.
    posts = {name: sandbox.count("create") for name, sandbox in sandboxes.items()}
    assert posts == {"done": 7, "endless": 3, "failed": 2, "unreadable": 1, "stalled": 1}
    results = [value for (value,) in cluster.rows(RESULTS)]
    assert len(results) == 5
    for result in results:
        sandbox = sandboxes["unreadable" if "unreadable" in result["path"] else "done"]
        file = Path(result["path"].removeprefix("file://"))
        assert file.read_bytes() == sandbox.expected(result["download_id"]).path.read_bytes()

    # What an execution_timeout leaves of an async task: docs/hook.md.
    assert (lake / "before").exists()
    assert not {"except", "finally", "async_save.csv"} & {path.name for path in lake.iterdir()}
    assert len(list(lake.glob(".*"))) == len(list(lake.glob(".async_save.csv.*.part"))) == 1

    tokens = sum(sandbox.count("token") for sandbox in sandboxes.values())
    rows.append(Row("trigger_faults", sum(posts.values()), tokens, len(results), time.monotonic() - started))
    written = cluster.written()
    for name, sandbox in sandboxes.items():
        for where, text in written.items():
            assert_no_secret(sandbox, text, where=f", of {name} to {where}")


def noted(cluster: Cluster) -> set[str]:
    """The tasks whose first try the scheduler knows to have left its worker."""
    return set(NOTED.findall((cluster.home / "scheduler.out").read_text(errors="replace")))


def ended(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """State and tries of each task, once all have ended."""
    states = {name: (state, tries) for name, state, tries in cluster.rows(STATES)}
    final = {"success", "failed", "skipped", "upstream_failed"}
    return states if {state for state, _ in states.values()} <= final else {}


def log(cluster: Cluster, name: str) -> str:
    logs = cluster.home.glob(f"logs/dag_id=trigger_faults/run_id=trigger_faults/task_id={name}/*")
    return "\n".join(path.read_text(errors="replace") for path in sorted(logs))
