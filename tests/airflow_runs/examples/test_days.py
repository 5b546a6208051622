"""The folder of a day: the same expression in every example, right in every kind of run and time zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.models.dagrun import DagRun
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS, AIRFLOW_V_3_3_PLUS, DAG
from tests.airflow_runs.conftest import RunDag
from tests.docs.blocks import PAGES

from .conftest import EXAMPLES, load

RECIPE = next(page for page in PAGES if page.name == "recipes.md")
(DAY,) = {
    "".join(re.findall('"(.*)"', definition))
    for file in [*EXAMPLES.glob("*.py"), RECIPE]
    for definition in re.findall(r"^DAY = \((.*?)^\)$", file.read_text(), re.M | re.S)
}

SNAPSHOTS = {
    "oleria_nightly_export": "ds=*/accessInventoryGroupsV2.csv",
    "oleria_access_inventory": "access-inventory/ds=*/accessInventoryGroupsV2.csv.gz",
    "oleria_access_review": "access-review/snapshots/ds=*/accounts.parquet",
    "oleria_asset_producer": "accounts/ds=*/accounts.csv",
    "oleria_risks_in_steps": "risks/ds=*/open.csv",
}
WITHOUT_DATE = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="before Airflow 3, every run has a logical date"
)


def nightly(dag_id: str, schedule: object, zone: str, folder: Path) -> DAG:
    with DAG(
        dag_id, schedule=schedule, start_date=pendulum.datetime(2026, 1, 1, tz=zone), catchup=False
    ) as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context="oleriaUsers",
            destination=f"{folder.as_uri()}/ds={DAY}/users.csv",
        )
    return dag


def days(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ds=*"))


def test_no_page_and_no_example_uses_a_date_that_some_runs_lack() -> None:
    rendered = re.compile(r"\{\{\s*(?:ds|ts|data_interval_(?:start|end))\b")
    files = [*EXAMPLES.glob("*.py"), *(page for page in PAGES if page.name != "recipes.md")]
    assert not [str(file) for file in files if rendered.search(file.read_text())]


@pytest.fixture
def as_scheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[DagRunInfo], None]:
    """Let the next runs of ``dag.test()`` be what the scheduler creates: it creates runs by hand."""
    create = DagRun.__init__

    def set_info(info: DagRunInfo) -> None:
        values: dict[str, Any] = {"run_type": "scheduled", "data_interval": info.data_interval}
        if AIRFLOW_V_3_0_PLUS:
            values["run_after"] = info.run_after

        def created(self: DagRun, *args: Any, **arguments: Any) -> None:
            create(self, *args, **arguments | values)

        monkeypatch.setattr(DagRun, "__init__", created)

    return set_info


@pytest.mark.parametrize(
    ("timetable", "cron", "zone", "nights"),
    [
        (CronTriggerTimetable, "0 1 * * *", "Europe/Berlin", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        (CronDataIntervalTimetable, "0 1 * * *", "Europe/Berlin", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        (CronTriggerTimetable, "0 1 * * *", "Europe/Berlin", ["2026-10-25", "2026-10-26"]),
        (CronDataIntervalTimetable, "0 1 * * *", "Europe/Berlin", ["2026-10-25", "2026-10-26"]),
        # Its hour is skipped in the second night.
        (CronTriggerTimetable, "30 2 * * *", "Europe/Berlin", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        # Its hour comes twice in the first night.
        (CronDataIntervalTimetable, "30 1 * * *", "America/New_York", ["2026-11-01", "2026-11-02"]),
        (CronTriggerTimetable, "30 22 * * *", "America/New_York", ["2026-03-07", "2026-03-08"]),
        (CronTriggerTimetable, "0 0 * * *", "Pacific/Auckland", ["2026-04-05", "2026-04-06"]),
        (CronDataIntervalTimetable, "0 2 * * *", "Asia/Kolkata", ["2026-03-28", "2026-03-29"]),
    ],
)
def test_each_night_has_its_folder_when_the_clocks_change(
    timetable: type,
    cron: str,
    zone: str,
    nights: list[str],
    as_scheduled: Callable[[DagRunInfo], None],
    run_dag: RunDag,
    tmp_path: Path,
) -> None:
    schedule = timetable(cron, timezone=zone)
    dag = nightly(
        f"nightly_{zone.replace('/', '_')}_{nights[0]}_{timetable.__name__}", schedule, zone, tmp_path
    )
    first, last = (pendulum.parse(night, tz=zone) for night in (nights[0], nights[-1]))
    info = None
    while True:
        info = schedule.next_dagrun_info(
            last_automated_data_interval=info and info.data_interval,
            restriction=TimeRestriction(first.subtract(days=1), last.add(days=1), catchup=True),
        )
        if info is None or info.run_after >= last.add(days=1):
            break
        if info.run_after >= first:
            as_scheduled(info)
            assert run_dag(dag, info.logical_date).states == {"export": "success"}

    assert days(tmp_path) == [f"ds={night}" for night in nights]


@pytest.mark.parametrize("timetable", [CronTriggerTimetable, CronDataIntervalTimetable])
def test_a_run_started_by_hand_does_not_replace_the_file_of_the_last_night(
    timetable: type, run_dag: RunDag, tmp_path: Path
) -> None:
    zone = "Europe/Berlin"
    schedule = timetable("30 22 * * 0", timezone=zone)  # on Sundays
    dag = nightly(f"by_hand_{timetable.__name__}", schedule, zone, tmp_path)
    tuesday = pendulum.datetime(2026, 10, 27, 0, 30, tz=zone)

    assert run_dag(dag, tuesday.in_timezone("UTC")).states == {"export": "success"}
    assert days(tmp_path) == ["ds=2026-10-27"]


@WITHOUT_DATE
@pytest.mark.parametrize(
    ("run_after", "zone", "day"),
    [
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "Europe/Berlin", "2026-03-29"),
        (datetime(2026, 3, 29, 22, 30, tzinfo=UTC), "Europe/Berlin", "2026-03-30"),
        (datetime(2026, 11, 2, 3, 30, tzinfo=UTC), "America/New_York", "2026-11-01"),
        (datetime(2026, 11, 2, 3, 30, tzinfo=UTC), "UTC", "2026-11-02"),
    ],
)
def test_a_run_without_a_logical_date_has_the_day_it_was_started(
    run_after: datetime, zone: str, day: str, run_dag: RunDag, tmp_path: Path
) -> None:
    dag = nightly(f"by_hand_{zone.replace('/', '_')}_{day}", "0 1 * * *", zone, tmp_path)
    assert run_dag(dag, run_after=run_after).states == {"export": "success"}
    assert days(tmp_path) == [f"ds={day}"]


@pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="partitions came with Airflow 3.2")
@pytest.mark.parametrize(
    ("partition_date", "day"),
    [
        (datetime(2026, 3, 29, 23, tzinfo=UTC), "2026-03-30"),
        (
            datetime(2026, 3, 28, 23, tzinfo=UTC),
            "2026-03-29",
        ),  # run_offset=-1, or a partition started by hand
        (None, "2026-03-30"),  # started by hand, without a partition key
    ],
)
def test_a_partitioned_run_has_the_day_of_its_partition(
    partition_date: datetime | None,
    day: str,
    run_dag: RunDag,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk import CronPartitionTimetable
    from airflow.serialization.definitions.dag import SerializedDAG

    # The scheduler gives a run its partition, dag.test() does not.
    partition = {"partition_key": day, "partition_date": partition_date} if partition_date else {}
    create = partialmethod(SerializedDAG.create_dagrun, **partition)
    monkeypatch.setattr(SerializedDAG, "create_dagrun", create)
    timetable = CronPartitionTimetable("0 1 * * *", timezone="Europe/Berlin", key_format="%Y-%m-%d")
    dag = nightly(
        f"partition_{partition_date:%d}" if partition_date else "no_partition",
        timetable,
        "Europe/Berlin",
        tmp_path,
    )
    run = run_dag(dag, run_after=datetime(2026, 3, 29, 23, tzinfo=UTC))

    assert run.states == {"export": "success"}
    # Tasks of Airflow 3.2 have the partition's key alone.
    assert days(tmp_path) == [f"ds={day}" if AIRFLOW_V_3_3_PLUS else "ds=2026-03-30"]


@WITHOUT_DATE
@pytest.mark.parametrize("dag_id", SNAPSHOTS)
def test_an_example_runs_without_a_logical_date(
    dag_id: str, run_dag: RunDag, oleria_sandbox: Sandbox, lake: Path
) -> None:
    oleria_sandbox.settings.rows = 200
    file = "oleria_asset_triggered" if dag_id == "oleria_asset_producer" else dag_id
    run = run_dag(load(dag_id, file), run_after=datetime(2026, 10, 25, 23, 30, tzinfo=UTC))

    assert set(run.states.values()) <= {"success", "skipped"}
    assert [path.parent.name for path in lake.glob(SNAPSHOTS[dag_id])] == ["ds=2026-10-25"]


@WITHOUT_DATE
def test_the_activity_log_of_a_run_without_a_logical_date_is_the_last_full_hour(
    run_dag: RunDag, lake: Path
) -> None:
    run = run_dag(load("oleria_activity_log"), run_after=datetime(2026, 10, 21, 0, 17, tzinfo=UTC))

    assert run.states == {"export": "success"}
    assert (lake / "activity/ds=2026-10-20/hour=23/activity.parquet").exists()
