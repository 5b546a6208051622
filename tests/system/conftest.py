"""One sandbox and one PostgreSQL for all scenarios; a table at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.sandbox.settings import Settings
from tests.servers.postgres import Postgres

from .cluster import Cluster
from .line import Line
from .scenario import Row, Scenario

ROWS: list[Row] = []


@pytest.fixture
def rows() -> list[Row]:
    return ROWS


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def line(sandbox: Sandbox) -> Line:
    return Line(sandbox)


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """For homes and files; kept when something failed, since that is where the logs are."""
    folder = Path(tempfile.mkdtemp(prefix="oleria-system-"))
    yield folder
    if request.session.testsfailed:
        print(f"\nThe logs are in {folder}.")
    else:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(folder: Path, postgres: Postgres, line: Line) -> Iterator[Cluster]:
    dags = Path(__file__).parent / "dags"
    settings = {
        "OLERIA_TEST_LAKE": str(folder / "lake"),
        # The triggerer imports triggers from dags/trigger_faults.py.
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    }
    cluster = Cluster(folder / "local", postgres, dags, settings)
    try:
        cluster.start()
        cluster.add_connection(line.connection())
        cluster.add_pool("few", 8)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def scenario(
    request: pytest.FixtureRequest, cluster: Cluster, sandbox: Sandbox, line: Line, folder: Path
) -> Scenario:
    """A run that is named as the test; downloads do not end until the test lets them."""
    sandbox.reset()
    sandbox.settings.update({**asdict(Settings()), "export_seconds": 24 * 3600})
    name = request.node.name.removeprefix("test_")
    return Scenario(name, cluster, sandbox, line, folder / "lake", ROWS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    write = terminalreporter.write_line
    write("")
    write(f"{'scenario':<48} {'POSTs':>6} {'tokens':>7} {'files whole':>12} {'seconds':>8}")
    for row in ROWS:
        write(f"{row.scenario:<48} {row.posts:>6} {row.tokens:>7} {row.files:>12} {row.seconds:>8.0f}")
