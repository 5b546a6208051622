"""One DAG run that is disturbed, and what must hold in the end."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_oleria.sandbox import Sandbox
from tests.leaks import assert_no_secret
from tests.servers.processes import until

from .cluster import Cluster
from .line import Line

STATES = "select task_id, map_index, state from task_instance where dag_id = %s and run_id = %s"
PIDS = "select pid from task_instance where dag_id = %s and run_id = %s and state = 'running' and pid is not null"
RESULTS = (
    "select value from xcom where dag_id = %s and run_id = %s and key = 'return_value' and task_id in %s"
)
STORED_IDS = "select key from task_state_store where dag_id = %s and run_id = %s"


@dataclass
class Row:
    """A line of the table at the end."""

    scenario: str
    posts: int
    tokens: int
    files: int
    seconds: float

    @classmethod
    def of(cls, scenario: str, sandbox: Sandbox, files: int, started: float) -> Row:
        """What the sandbox has seen, now that the scenario has ended.

        :param files: how many were found whole.
        :param started: when it began, on the monotonic clock.
        """
        posts = sum(call.kind == "create" and call.download_id is not None for call in sandbox.calls)
        tokens = sum(call.kind == "token" and call.status == 200 for call in sandbox.calls)
        return cls(scenario, posts, tokens, files, time.monotonic() - started)


@dataclass
class Scenario:
    """A DAG run, the sandbox it exports from, and the Airflow it runs in."""

    name: str
    cluster: Cluster
    sandbox: Sandbox
    line: Line
    lake: Path
    rows: list[Row]
    dag_id: str = ""
    expected: int = 0
    deferred: int = 0
    _started: float = field(default_factory=time.monotonic)

    @property
    def run_id(self) -> str:
        return self.name

    def run(self, here: int, deferred: int) -> None:
        """Start ``here`` exports that wait in the worker and ``deferred`` that wait in the triggerer."""
        self.dag_id, self.expected, self.deferred = f"exports_{here}_{deferred}", here + deferred, deferred
        self.cluster.trigger(self.dag_id, self.run_id)

    # -- what to wait for ---------------------------------------------------------------------------------------

    def until_polled(self, times: int = 1) -> None:
        """Wait until each download has been polled ``times`` times from now on."""
        # Airflow starts another try when a deferral ends before its scheduler has noted that it began.
        until(lambda: len(self._noted()) >= self.deferred, "the scheduler has noted every deferral")
        before = self.polls()

        def polled() -> bool:
            polls = self.polls()
            return len(polls) >= self.expected and all(
                count >= times + before.get(download_id, 0) for download_id, count in polls.items()
            )

        until(polled, f"every download is polled {times} times")

    def _noted(self) -> set[str]:
        log = (self.cluster.home / "scheduler.out").read_text(errors="replace")
        # Not the lines "TaskInstance Finished": Airflow leaves them out where the row is locked.
        return set(
            re.findall(
                rf"Received executor event with state success .*task_id='deferred', run_id='{self.run_id}', "
                r".*map_index=(-?\d+)\)",
                log,
            )
        )

    def polls(self) -> dict[str, int]:
        counts = dict.fromkeys(self.created(), 0)
        for call in self.sandbox.calls:
            if call.kind == "get" and call.status == 200 and call.download_id in counts:
                counts[call.download_id] += 1
        return counts

    def created(self) -> list[str]:
        return [call.download_id for call in self.sandbox.calls if call.kind == "create" and call.download_id]

    def until_state(self, state: str, count: int) -> None:
        until(lambda: list(self.states().values()).count(state) >= count, f"{count} tasks are {state}")

    def states(self) -> dict[tuple[str, int], str]:
        found = self.cluster.rows(STATES, self.dag_id, self.run_id)
        return {(task_id, map_index): state for task_id, map_index, state in found}

    def stored_ids(self) -> int:
        return len(self.cluster.rows(STORED_IDS, self.dag_id, self.run_id))

    # -- what to do ---------------------------------------------------------------------------------------------

    def kill_task(self) -> None:
        """SIGKILL the process of the one task that runs."""
        ((pid,),) = until(lambda: self.cluster.rows(PIDS, self.dag_id, self.run_id), "a task runs")
        os.kill(pid, signal.SIGKILL)

    def let_downloads_end(self) -> None:
        self.sandbox.settings.update({"export_seconds": 0})

    def log_has(self, text: str, task_id: str) -> Callable[[], bool]:
        def found() -> bool:
            logs = self.cluster.home.glob(
                f"logs/dag_id={self.dag_id}/run_id={self.run_id}/task_id={task_id}/**/*"
            )
            return any(text in path.read_text(errors="replace") for path in logs if path.is_file())

        return found

    # -- how it must end ----------------------------------------------------------------------------------------

    def ends_well(self, posts: int | None = None) -> None:
        """Check the end: no stuck task, every file complete, no left-overs, no stored id, no secret anywhere.

        :param posts: how many downloads must have been created; by default as many as there are files.
        """
        posts = self.expected if posts is None else posts
        self._wait_for_the_end()
        results = self._results()
        assert len(results) == self.expected
        for result in results:
            expected = self.sandbox.expected(result["download_id"])
            assert Path(result["path"].removeprefix("file://")).read_bytes() == expected.path.read_bytes()
        assert len(list((self.lake / self.run_id).iterdir())) == self.expected, "something is left over"
        created = self.created()
        assert len(created) == posts, f"{len(created)} exports were started where {posts} were wanted"
        assert {result["download_id"] for result in results} <= set(created)
        assert self.stored_ids() == 0
        self.rows.append(Row.of(self.name, self.sandbox, len(results), self._started))
        assert_no_secret_written(self.sandbox, self.cluster)

    def _wait_for_the_end(self) -> None:
        def ended() -> bool:
            states = self.states()
            assert "failed" not in states.values(), f"tasks failed: {states}"
            return bool(states) and set(states.values()) == {"success"}

        try:
            until(ended, "all tasks have succeeded")
        except TimeoutError as problem:
            raise TimeoutError(f"{problem}: {self.states()}") from None

    def _results(self) -> list[dict[str, Any]]:
        found = self.cluster.rows(RESULTS, self.dag_id, self.run_id, ("here", "deferred"))
        return [value for (value,) in found]


def assert_no_secret_written(sandbox: Sandbox, cluster: Cluster) -> None:
    """None in any log, and none in the database."""
    for where, text in cluster.written().items():
        assert_no_secret(sandbox, text, where=f" to {where}")
