"""The example DAGs that leave files run as they stand."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.sandbox.catalogue import columns_of
from tests.airflow_runs.conftest import RunDag
from tests.servers.s3 import Bucket

from .conftest import load

MIDNIGHT = datetime(2026, 10, 21, tzinfo=UTC)


def test_nightly_export(run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path) -> None:
    run = run_dag(load("oleria_nightly_export"))

    assert set(run.states.values()) == {"success"}
    (manifest,) = lake.glob("ds=*/manifest.json")
    exports = json.loads(manifest.read_text())
    assert {Path(export["path"]).name for export in exports} == {
        "accessInventoryIdentitiesV2.csv",
        "accessInventoryGroupsV2.csv",
        "accountUtilization.csv",
    }
    assert sum(export["row_count"] for export in exports) == run.xcom("write_manifest") > 0
    assert oleria_sandbox.count("create") == oleria_sandbox.count("fetch") == 3


def test_the_access_inventory_is_all_there(run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path) -> None:
    oleria_sandbox.settings.rows = 100
    run = run_dag(load("oleria_access_inventory"), MIDNIGHT + timedelta(hours=2))

    assert set(run.states.values()) == {"success"}
    files = list((lake / "access-inventory" / "ds=2026-10-21").iterdir())
    assert {file.name for file in files} == {
        f"{context}.csv.gz" for context in DataContext if "accessInventory" in context
    }
    for file in files:
        with gzip.open(file, "rt", newline="") as lines:
            assert sum(1 for _ in csv.DictReader(lines)) == 100
    assert run.xcom("complete") == {file.name.removesuffix(".csv.gz"): 100 for file in files}


def test_an_incomplete_access_inventory_is_a_failed_run_with_the_rest_of_it(
    run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path
) -> None:
    oleria_sandbox.settings.rows = 100
    oleria_sandbox.fail(Fault(kind="create", nth=3, export_fails="internal_error"))
    run = run_dag(load("oleria_access_inventory"))

    assert Counter(run.states.values()) == {"success": 8, "failed": 2}
    assert run.states["complete"] == "failed"
    (missing,) = {str(context) for context in DataContext if "accessInventory" in context} - {
        file.name.removesuffix(".csv.gz") for file in lake.rglob("*.csv.gz")
    }
    assert f"not exported: {missing}" in run.log


def test_activities_are_in_one_file_each(run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path) -> None:
    on_the_hour = _an_activity_on_the_hour(oleria_sandbox)
    dag = load("oleria_activity_log")
    for hours in (0, 1):  # the run at an hour exports the hour before it
        assert set(run_dag(dag, on_the_hour + timedelta(hours=hours)).states.values()) == {"success"}

    before, after = (
        pyarrow.parquet.read_table(lake / f"activity/ds={hour:%Y-%m-%d}/hour={hour:%H}/activity.parquet")
        for hour in (on_the_hour - timedelta(hours=1), on_the_hour)
    )
    assert on_the_hour in after["timestamp"].to_pylist()
    assert on_the_hour not in before["timestamp"].to_pylist()
    everything: Any = columns_of(DataContext.ACTIVITY_ANALYSIS, oleria_sandbox.settings.seed)["timestamp"]
    wanted = [
        moment
        for moment in everything.values(range(oleria_sandbox.settings.rows))
        if timedelta(hours=-1) <= moment - on_the_hour < timedelta(hours=1)
    ]
    assert sorted(before["timestamp"].to_pylist() + after["timestamp"].to_pylist()) == sorted(wanted)


def _an_activity_on_the_hour(sandbox: Sandbox) -> datetime:
    """When; the sandbox then has it, under a seed that makes one."""
    for sandbox.settings.seed in itertools.count():
        column = columns_of(DataContext.ACTIVITY_ANALYSIS, sandbox.settings.seed)["timestamp"]
        moments: Any = column.values(range(sandbox.settings.rows))
        for moment in moments:
            if (moment.minute, moment.second) == (0, 0):
                return moment
    raise AssertionError


def test_a_partition_per_day_in_s3(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    bucket: Bucket,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OLERIA_BUCKET", bucket.name)
    oleria_sandbox.settings.rows = 100
    for days in (0, 1, 1):  # the second day twice, as if it had been cleared
        run = run_dag(load("oleria_to_s3_parquet"), MIDNIGHT + timedelta(days=days, hours=2))
        assert set(run.states.values()) == {"success"}

    s3 = pyarrow.fs.S3FileSystem(
        access_key="AKIATEST", secret_key="test", endpoint_override=s3_endpoint, allow_bucket_creation=False
    )
    accounts = pyarrow.dataset.dataset(
        f"{bucket.name}/oleria/accessInventoryApplicationAccountsV2", filesystem=s3, partitioning="hive"
    ).to_table()
    assert Counter(accounts["ds"].to_pylist()) == {"2026-10-21": 100, "2026-10-22": 100}
    assert [str(accounts.schema.field(name).type) for name in ("createdAt", "dormantDays", "mfaEnabled")] == [
        "timestamp[us, tz=UTC]",
        "string",
        "bool",
    ]
    assert len(bucket.keys()) == 4


def test_risks_in_steps(run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path) -> None:
    oleria_sandbox.settings.export_seconds = 1
    dag = load("oleria_risks_in_steps")
    dag.get_task("wait").poke_interval = 0.2
    run = run_dag(dag)

    assert run.states == {"create": "success", "wait": "success", "save": "success"}
    (file,) = lake.glob("risks/ds=*/open.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["status"] for row in rows} == {"Open"}
    assert {row["severity"] for row in rows} == {"Critical", "High"}
    assert run.xcom("save")["row_count"] == len(rows)


def test_dormant_accounts(run_dag: RunDag, oleria_sandbox: Sandbox) -> None:
    run = run_dag(load("oleria_dormant_accounts"))

    assert set(run.states.values()) == {"success"}
    (created,) = [call for call in oleria_sandbox.calls if call.kind == "create"]
    download_id = next(call.download_id for call in oleria_sandbox.calls if call.kind == "fetch")
    with oleria_sandbox.expected(download_id).path.open(newline="") as lines:
        wanted = Counter(row["department"] or "(none)" for row in csv.DictReader(lines))
    assert run.xcom("count_by_department") == wanted
    assert created.data_context == DataContext.ACCOUNT_UTILIZATION
    assert run.xcom("summarize").split()[0] == str(max(wanted.values()))


def test_dormant_accounts_with_a_byte_order_mark(run_dag: RunDag, oleria_sandbox: Sandbox) -> None:
    body = "\ufeffdepartment,accountName\nLegal,a\nLegal,b\n"
    oleria_sandbox.fail(Fault(kind="fetch", times=None, body=body))
    run = run_dag(load("oleria_dormant_accounts"))

    assert run.xcom("count_by_department") == {"Legal": 2}
