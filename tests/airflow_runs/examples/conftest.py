"""Loads an example as Airflow does, and gives it what it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.models import DagBag

from tests.airflow_names import DAG

EXAMPLES = Path(__file__).parent.parent.parent.parent / "example_dags"


def load(dag_id: str, file: str | None = None) -> DAG:
    """One DAG of one file, which has its name by default."""
    bag = DagBag(EXAMPLES / f"{file or dag_id}.py")
    assert not bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retries = 0  # what fails is to fail now, not in five minutes
    return dag


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder behind the Variable ``oleria_export_root``."""
    monkeypatch.setenv("AIRFLOW_VAR_OLERIA_EXPORT_ROOT", tmp_path.as_uri())
    return tmp_path


@pytest.fixture(autouse=True)
def _no_waiting(no_waiting: None) -> None:
    """The examples poll as seldom as they would in earnest."""
