"""Airflow as it runs in production: each component a process of its own, started again when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.servers.postgres import Postgres
from tests.servers.processes import end_sessions, free_port, until

AIRFLOW = Path(sys.executable).with_name("airflow")

COMPONENTS = {name: [name] for name in ("api-server", "scheduler", "dag-processor", "triggerer")}


class Cluster:
    """An Airflow.

    :param home: its folder.
    :param postgres: where its database is.
    :param dags: the folder of its DAG files.
    :param settings: more of its environment.
    :param more: more components: name and command line.
    """

    def __init__(
        self,
        home: Path,
        postgres: Postgres,
        dags: Path,
        settings: dict[str, str],
        more: dict[str, list[str]] | None = None,
    ) -> None:
        self.home = home
        self.postgres = postgres
        self.database = home.name
        self._commands = COMPONENTS | (more or {})
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._api = requests.Session()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        self._ending = threading.Event()
        self._keeper: threading.Thread | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(32).hex(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(self.database),
            # Seconds, where production has minutes: a death is noticed as soon. Two limits keep their defaults, since a
            # busy machine would exceed less: the scheduler's own (30 s), or it takes its own tasks for orphans, and
            # that of a task's heartbeat (300 s), or tasks that live are given up.
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            # Its default of 5 s ends tries on a busy machine.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
            # No DAG file changes during a run.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            # The libraries that print requests whole, at the level at which they do.
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": (
                "airflow_provider_oleria=DEBUG urllib3=DEBUG requests_oauthlib=DEBUG aiohttp=DEBUG"
            ),
            **settings,
        }

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.postgres.create(self.database)
        with (self.home / "migrate.out").open("wb") as output:
            subprocess.run(
                [AIRFLOW, "db", "migrate"], check=True, env=self.environment, stdout=output, stderr=output
            )
        for name in self._commands:
            self._start(name)
        until(self._is_up, "the API server answers")
        until(self._is_healthy, "Airflow is healthy")
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        self._ending.set()
        if self._keeper is not None:
            self._keeper.join()
        end_sessions(self._sessions)
        for process in self._processes.values():
            process.wait()

    def kill(self, name: str) -> None:
        """SIGKILL a component; it is started again."""
        process = self._processes[name]
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: self._processes[name] is not process, f"{name} is started again")

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Stop a component for a while: it lives, and does nothing."""
        self._processes[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[name].send_signal(signal.SIGCONT)

    # -- what a user does ---------------------------------------------------------------------------------------

    def login(self) -> tuple[str, str]:
        """The one user there is, and the password Airflow has made up for it."""
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        return "admin", passwords["admin"]

    def trigger(self, dag_id: str, run_id: str) -> None:
        until(lambda: self._knows(dag_id), f"DAG {dag_id} is parsed")
        self._ask("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})

    def add_connection(self, connection: str, conn_id: str = "oleria_default") -> None:
        """Make a Connection.

        :param connection: its fields, as JSON.
        :param conn_id: its id.
        """
        self._ask("POST", "/connections", _body(connection, conn_id))

    def add_pool(self, name: str, slots: int) -> None:
        self._ask("POST", "/pools", {"name": name, "slots": slots})

    def change_connection(self, connection: str) -> None:
        self._ask("PATCH", "/connections/oleria_default", _body(connection, "oleria_default"))

    def mark_failed(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
        where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}"
        self._ask("PATCH", where, {"new_state": "failed"})

    def clear(self, dag_id: str, run_id: str) -> None:
        what = {"dag_run_id": run_id, "only_failed": True, "dry_run": False, "reset_dag_runs": True}
        self._ask("POST", f"/dags/{dag_id}/clearTaskInstances", what)

    # -- what it looks like -------------------------------------------------------------------------------------

    def rows(self, query: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
        return self.postgres.rows(self.database, query, *parameters)

    def connection(self, conn_id: str) -> dict[str, Any]:
        """A Connection as the database keeps it, decrypted."""
        path = self.home / "connections.json"
        export = [AIRFLOW, "connections", "export", "--file-format", "json", path]
        subprocess.run(export, check=True, env=self.environment, capture_output=True)
        return json.loads(path.read_text())[conn_id]

    def written(self) -> dict[str, str]:
        """Every text Airflow has left anywhere: its logs, and its database."""
        texts = {
            str(path): path.read_text(errors="replace")
            for path in self.home.rglob("*")
            if path.is_file() and (path.suffix in (".out", ".log") or "logs" in path.parts)
        }
        return {**texts, "the database": self.postgres.dump(self.database)}

    # -- inside -------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        with (self.home / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [AIRFLOW, *self._commands[name]],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._sessions.add(self._processes[name].pid)

    def _keep(self) -> None:
        """What systemd or Kubernetes does."""
        while not self._ending.wait(0.5):
            for name, process in list(self._processes.items()):
                if process.poll() is not None and not self._ending.is_set():
                    self._start(name)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if "Authorization" not in self._api.headers:
            who = dict(zip(("username", "password"), self.login(), strict=True))
            token = self._api.post(f"{self.url}/auth/token", json=who, timeout=10).json()["access_token"]
            self._api.headers["Authorization"] = f"Bearer {token}"
        answer = self._api.request(method, f"{self.url}/api/v2{path}", json=body, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json()

    def _knows(self, dag_id: str) -> bool:
        return bool(self.rows("select 1 from serialized_dag where dag_id = %s", dag_id))

    def _is_up(self) -> bool:
        self._check_alive()
        try:
            return requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).ok
        except requests.RequestException:
            return False

    def _is_healthy(self) -> bool:
        self._check_alive()
        health = self._ask("GET", "/monitor/health")
        return all(part["status"] == "healthy" for part in health.values())

    def _check_alive(self) -> None:
        """What dies before anybody has killed it has something to say."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                said = (self.home / f"{name}.out").read_text(errors="replace")
                raise RuntimeError(f"{name} ended by itself:\n{said[-3000:]}")


def _body(connection: str, conn_id: str) -> dict[str, Any]:
    fields = json.loads(connection)
    return {"connection_id": conn_id, **fields, "extra": json.dumps(fields["extra"])}
