"""The example DAGs run as they stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.models import DagBag
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_oleria.sandbox import Sandbox

from .conftest import Run

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"


def load(name: str) -> DAG:
    bag = DagBag(EXAMPLES / f"{name}.py")
    assert not bag.import_errors
    return bag.dags[name]


def test_nightly_export(
    run_dag: Callable[[DAG], Run], oleria_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OLERIA_EXPORT_ROOT", tmp_path.as_uri())
    run = run_dag(load("oleria_nightly_export"))

    assert set(run.states.values()) == {"success"}
    (manifest,) = tmp_path.glob("ds=*/manifest.json")
    exports = json.loads(manifest.read_text())
    assert {Path(export["path"]).name for export in exports} == {
        "accessInventoryIdentitiesV2.csv",
        "accessInventoryGroupsV2.csv",
        "accountUtilization.csv",
    }
    assert sum(export["row_count"] for export in exports) == run.xcom("write_manifest") > 0
    assert oleria_sandbox.count("create") == oleria_sandbox.count("fetch") == 3
