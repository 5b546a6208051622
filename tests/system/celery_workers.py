"""Where users go when one machine is too small: CeleryExecutor over Redis, two workers."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_oleria.sandbox import Sandbox
from tests.servers.postgres import Postgres
from tests.servers.processes import free_port, program, until

from .cluster import Cluster
from .line import Line
from .scenario import STATES, Row, assert_no_secret_written

pytestmark = pytest.mark.timeout(3600)

NIGHTLY = "oleria_nightly_export"
EXAMPLE = Path(__file__).parent.parent.parent / "example_dags" / f"{NIGHTLY}.py"
WORKER = ["celery", "worker", "--skip-serve-logs", "--concurrency", "2", "--celery-hostname"]
RUNS = "select run_id from dag_run where dag_id = %s"


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    server = [
        program("redis-server", "redis-server"),
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def test_nightly_export_on_two_celery_workers(
    postgres: Postgres, sandbox: Sandbox, line: Line, folder: Path, rows: list[Row]
) -> None:
    started = time.monotonic()
    sandbox.reset()
    sandbox.settings.update({"export_seconds": 15})
    lake, dags = folder / "celery-lake", folder / "celery-dags"
    dags.mkdir()
    shutil.copy(EXAMPLE, dags)
    with redis(folder) as broker:
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{postgres.url('celery')}",
            "AIRFLOW_VAR_OLERIA_EXPORT_ROOT": lake.as_uri(),
        }
        workers = {name: [*WORKER, f"{name}@%h"] for name in ("worker-1", "worker-2")}
        cluster = Cluster(folder / "celery", postgres, dags, settings, workers)
        try:
            cluster.start()
            cluster.add_connection(line.connection())
            run_id = until(lambda: cluster.rows(RUNS, NIGHTLY), "the scheduler starts last night's run")[0][0]
            until(lambda: succeeded(cluster, run_id), "all tasks have succeeded")
            (manifest,) = lake.glob("ds=*/manifest.json")
            exports = json.loads(manifest.read_text())
            created = [call for call in sandbox.calls if call.kind == "create"]
            served = {call.data_context: sandbox.expected(call.download_id or "") for call in created}
            for export in exports:
                file = Path(export["path"].removeprefix("file://"))
                assert file.read_bytes() == served[export["data_context"]].path.read_bytes()
            assert len(exports) == len(created) == 3
            rows.append(Row.of("nightly_export_on_two_celery_workers", sandbox, len(exports), started))
            assert_no_secret_written(sandbox, cluster)
        finally:
            cluster.close()


def succeeded(cluster: Cluster, run_id: str) -> bool:
    states = {state for _, _, state in cluster.rows(STATES, NIGHTLY, run_id)}
    assert "failed" not in states
    return states == {"success"}
