"""What Airflow, and whoever listens to it, learns of an export: events of assets, lineage, links, metrics and spans."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partialmethod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_oleria.downloads import DataContext, Filter, Sort
from airflow_provider_oleria.operators.download import OleriaDownloadOperator, OleriaSaveDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.leaks import assert_no_secret
from tests.servers.s3 import Bucket

from .conftest import AIRFLOW_V_3_2_PLUS, AIRFLOW_V_3_3_PLUS, Run, new_dag
from .test_download_runs import both_modes

RunDag = Callable[[DAG], Run]

EVENTS = """
    select asset.uri, event.source_task_id, event.extra
    from {0}_event event join {0} asset on asset.id = event.{0}_id
    where event.source_dag_id = ? and event.source_run_id = ?
    order by event.id
""".format("asset" if AIRFLOW_V_3_0_PLUS else "dataset")  # noqa: S608  # two constants


@pytest.fixture
def events(airflow_db: Path) -> Callable[[str, Run], list[tuple[str, str, dict[str, Any]]]]:
    """The events of assets a run left in Airflow's database: URI, task, extra."""

    def read(dag_id: str, run: Run) -> list[tuple[str, str, dict[str, Any]]]:
        with sqlite3.connect(airflow_db) as db:
            found = db.execute(EVENTS, (dag_id, run.run_id)).fetchall()
        return [(uri, task_id, json.loads(extra)) for uri, task_id, extra in found]

    return read


Events = Callable[[str, Run], list[tuple[str, str, dict[str, Any]]]]


def extra_of(result: dict[str, Any]) -> dict[str, Any]:
    keys = ("path", "row_count", "size_bytes", "sha256", "data_context", "download_id")
    return {key: result[key] for key in keys if key in result}  # a save alone does not know its data context


# -- assets ---------------------------------------------------------------------------------------------------------


@both_modes
def test_the_event_of_an_asset_says_what_was_saved(
    run_dag: RunDag, events: Events, tmp_path: Path, deferrable: bool
) -> None:
    with new_dag("asset") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/risks")],
            deferrable=deferrable,
            poll_interval=0.05,
        )
    run = run_dag(dag)

    result = run.xcom("export")
    assert events("asset", run) == [("file:///lake/risks", "export", extra_of(result))]
    assert result["data_context"] == "risks"
    assert "columns" not in result


def test_an_alias_gets_the_saved_file_as_its_asset(run_dag: RunDag, events: Events, tmp_path: Path) -> None:
    with new_dag("alias") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[AssetAlias("risk files")],
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert events("alias", run) == [(f"file://{tmp_path}/risks.csv", "export", extra_of(run.xcom("export")))]


def test_each_mapped_task_and_a_save_alone_emit_their_own(
    run_dag: RunDag, events: Events, tmp_path: Path
) -> None:
    with new_dag("mapped_assets") as dag:
        OleriaDownloadOperator.partial(
            task_id="export",
            destination=f"file://{tmp_path}/{{{{ task.data_context }}}}.csv",
            outlets=[Asset("file:///lake/all")],
            poll_interval=0.05,
        ).expand(data_context=["identities", "employees"])
        create = OleriaDownloadOperator(task_id="create", data_context="risksV2", poll_interval=0.05)
        OleriaSaveDownloadOperator(
            task_id="save",
            download_id=create.output["download_id"],
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/risks")],
        )
    run = run_dag(dag)

    found = {(uri, extra["path"]): extra for uri, _, extra in events("mapped_assets", run)}
    assert found == {
        **{
            ("file:///lake/all", result["path"]): extra_of(result)
            for result in (run.xcom("export", map_index=0), run.xcom("export", map_index=1))
        },
        ("file:///lake/risks", f"file://{tmp_path}/risks.csv"): extra_of(run.xcom("save")),
    }
    assert len(found) == 3


@pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="partitions came with Airflow 3.2")
def test_the_event_has_the_partition_key_of_its_run(
    run_dag: RunDag, airflow_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import CronPartitionTimetable
    from airflow.serialization.definitions.dag import SerializedDAG

    # The scheduler gives a run its key, dag.test() does not.
    create = partialmethod(SerializedDAG.create_dagrun, partition_key="2026-11-25")
    monkeypatch.setattr(SerializedDAG, "create_dagrun", create)
    timetable = CronPartitionTimetable("0 2 * * *", timezone="UTC", key_format="%Y-%m-%d")
    with DAG("partitioned", schedule=timetable, start_date=datetime(2026, 1, 1), catchup=False) as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            outlets=[Asset("file:///lake/partitioned"), AssetAlias("partitioned risk files")],
            poll_interval=0.05,
        )
    run_dag(dag)

    with sqlite3.connect(airflow_db) as db:
        keys = db.execute(
            "select partition_key from asset_event where source_dag_id = 'partitioned'"
        ).fetchall()
    assert keys == [("2026-11-25",)] * 2


def test_an_asset_that_cannot_be_made_fails_nothing(run_dag: RunDag, tmp_path: Path) -> None:
    too_long_for_an_asset = "/".join(["x" * 200] * 8)
    with new_dag("no_asset") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/{too_long_for_an_asset}.csv",
            outlets=[AssetAlias("risk files")],
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert run.states == {"export": "success"}
    if AIRFLOW_V_3_0_PLUS:  # 2.11 sets no limit
        assert "the export itself does not suffer from it" in run.log


# -- lineage --------------------------------------------------------------------------------------------------------

LINEAGE_DAG = """
from datetime import datetime
from airflow.providers.common.compat.sdk import dag, task
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.download import OleriaDownloadOperator

@dag(schedule=None, start_date=datetime(2026, 1, 1))
def lineage():
    OleriaDownloadOperator(
        task_id="export", data_context="risks", destination="file://{folder}/risks.parquet",
        column_types={{"createdAt": "timestamp"}}, poll_interval=0.05,
    )

    @task
    def in_a_task():
        hook = OleriaHook()
        download = hook.create_download("employees")
        hook.wait_for_download(download.id, poll_interval=0.05)
        hook.save_download(download.id, "file://{folder}/employees.csv")

    in_a_task()

lineage()
"""


def test_openlineage_is_told_what_was_read_and_what_was_written(
    airflow_db: Path, oleria_sandbox: Sandbox, tmp_path: Path
) -> None:
    """In a process of its own: the provider reads its configuration once."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "lineage.py").write_text(LINEAGE_DAG.format(folder=tmp_path))
    emitted = tmp_path / "events.json"
    environment = {
        **os.environ,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(emitted), "append": True}
        ),
    }
    airflow = Path(sys.executable).with_name("airflow")
    for command in (["dags", "reserialize"], ["dags", "test", "lineage"]):
        done = subprocess.run([airflow, *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    assert_no_secret(oleria_sandbox, emitted.read_text())
    completed = {
        event["job"]["name"]: event
        for event in map(json.loads, emitted.read_text().splitlines())
        if event["eventType"] == "COMPLETE"
    }
    tenant = f"oleria://{urlsplit(oleria_sandbox.api_url).netloc}"
    assert names(completed["lineage.export"]["inputs"]) == [(tenant, "risks")]
    # `airflow dags test` runs both tasks in one process, whose hooks have one collector.
    assert (tenant, "employees") in names(completed["lineage.in_a_task"]["inputs"])
    assert ("file", f"{tmp_path}/employees.csv") in names(completed["lineage.in_a_task"]["outputs"])
    (file,) = completed["lineage.export"]["outputs"]
    assert names([file]) == [("file", f"{tmp_path}/risks.parquet")]
    parquet = pq.ParquetFile(tmp_path / "risks.parquet")
    fields = {field["name"]: field["type"] for field in file["facets"]["schema"]["fields"]}
    assert list(fields) == parquet.schema_arrow.names
    assert fields["createdAt"] == "timestamp"
    assert set(fields.values()) == {"timestamp", "string"}
    statistics = file["outputFacets"]["outputStatistics"]
    assert statistics["rowCount"] == parquet.metadata.num_rows
    assert statistics["size"] == (tmp_path / "risks.parquet").stat().st_size


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


# -- the task's page ------------------------------------------------------------------------------------------------


def test_the_page_of_a_task_says_what_was_asked_for_and_where_to_look(
    run_dag: RunDag, airflow_db: Path, tmp_path: Path
) -> None:
    with new_dag("page") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.ACCESS_INVENTORY_IDENTITIES,
            filter_by=[Filter.string("department").in_("Engineering", "Sales")],
            sort_by=[Sort.desc("createdAt")],
            destination=f"file://{tmp_path}/identities.csv",
            poll_interval=0.05,
        )
    run = run_dag(dag)

    assert re.search(
        "The export of accessInventoryIdentitiesV2 where department in Engineering, Sales, "
        r"sorted by createdAt desc is complete, \d+ s after its start\.",
        run.log,
    )
    with sqlite3.connect(airflow_db) as db:
        (stored,) = db.execute(
            "select rendered_fields from rendered_task_instance_fields where dag_id = 'page' and run_id = ?",
            (run.run_id,),
        ).fetchone()
    rendered = json.loads(stored)
    assert rendered["data_context"] == "accessInventoryIdentitiesV2"
    assert rendered["filter_by"] == [
        {
            "dataType": "string",
            "field": "department",
            "filterType": "in",
            "values": ["Engineering", "Sales"],
        }
    ]


def test_the_buttons_of_a_task_lead_to_the_guide_and_to_the_saved_file(
    run_dag: RunDag, bucket: Bucket, tmp_path: Path
) -> None:
    with new_dag("buttons") as dag:
        for task_id, folder in {
            "s3": f"s3://aws_default@{bucket.name}",
            "disk": f"file://{tmp_path}",
        }.items():
            OleriaDownloadOperator(
                task_id=task_id,
                data_context=DataContext.RISKS,
                destination=f"{folder}/risks.csv",
                poll_interval=0.05,
            )
    run = run_dag(dag)

    guide = "https://docs.oleria.com/developer-docs/api-reference/working-with-downloads"
    in_console = f"https://console.aws.amazon.com/s3/object/{bucket.name}?prefix=risks.csv"
    assert buttons(dag, run, "s3") == [guide, in_console]
    assert buttons(dag, run, "disk") == [guide, ""]


def buttons(dag: DAG, run: Run, task_id: str) -> list[str]:
    """Where they lead: stored by Airflow 3 when the task has ended, asked for by the webserver of 2.11."""
    if AIRFLOW_V_3_0_PLUS:
        return [run.xcom(task_id, f"_link_{link}") for link in ("OleriaGuideLink", "SavedFileLink")]
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.serialization.serialized_objects import SerializedDAG

    task = SerializedDAG.from_dict(SerializedDAG.to_dict(dag)).get_task(task_id)
    key = TaskInstanceKey(dag.dag_id, task_id, run.run_id)
    return [link.get_link(task, ti_key=key) for link in task.operator_extra_links]


# -- metrics and spans ----------------------------------------------------------------------------------------------


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What a StatsD server receives: a real socket, and Airflow's own client, set up as a worker sets it up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        for name, value in {
            "statsd_on": "True",
            "statsd_host": "127.0.0.1",
            "statsd_port": str(server.getsockname()[1]),
            "statsd_influxdb_enabled": "True",
        }.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", value)
        set_up_stats()

        def received() -> list[str]:
            lines: list[str] = []
            while True:
                try:
                    lines += server.recv(65535).decode().splitlines()
                except TimeoutError:
                    return [line.removeprefix("airflow.") for line in lines if "oleria." in line]

        yield received
    monkeypatch.undo()
    set_up_stats()


def set_up_stats() -> None:
    from airflow.providers.common.compat.sdk import Stats

    try:
        from airflow.sdk.observability.metrics import stats_utils
    except ImportError:  # before Airflow 3.2 it sets itself up when it is first used
        Stats.instance = None
        del type(Stats).factory
        type(Stats).__init__(Stats)
    else:
        if AIRFLOW_V_3_3_PLUS:
            Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        else:
            Stats.initialize(factory=stats_utils.get_stats_factory(Stats))


@pytest.fixture
def spans() -> Iterator[Callable[[], list[ReadableSpan]]]:
    """What a tracer provider, set up as Airflow sets it up, exports."""
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)  # for good: there is one in a process
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield lambda: [span for span in exporter.get_finished_spans() if span.name.startswith("oleria.")]
    exporter.shutdown()


@both_modes
def test_every_step_is_counted_timed_and_traced(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    metrics: Callable[[], list[str]],
    spans: Callable[[], list[ReadableSpan]],
    deferrable: bool,
) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=429, headers={"Retry-After": "0"}, times=1))
    with new_dag("steps") as dag:
        OleriaDownloadOperator(
            task_id="export",
            data_context=DataContext.RISKS,
            destination=f"file://{tmp_path}/risks.csv",
            deferrable=deferrable,
            poll_interval=0.05,
        )
    run = run_dag(dag)

    result = run.xcom("export")
    received = metrics()
    tag = "oleria_conn_id=oleria_default"
    counted = {line for line in received if line.endswith("|c")}
    assert counted == {
        "oleria.token.minted:1|c",
        f"oleria.create.succeeded,{tag}:1|c",
        f"oleria.api.rate_limited,{tag}:1|c",
        f"oleria.wait.succeeded,{tag}:1|c",
        f"oleria.save.succeeded,{tag}:1|c",
        f"oleria.save.bytes,{tag}:{result['size_bytes']}|c",
        f"oleria.save.rows,{tag}:{result['row_count']}|c",
    }
    timed = {line.split(",")[0] for line in received if line.endswith("|ms")}
    assert timed == {"oleria.create.duration", "oleria.wait.duration", "oleria.save.duration"}
    by_name = {span.name: dict(span.attributes or {}) for span in spans()}
    assert by_name.keys() == {"oleria.create", "oleria.wait", "oleria.save"}
    assert {about["oleria.download_id"] for about in by_name.values()} == {result["download_id"]}
    assert by_name["oleria.save"]["oleria.rows"] == result["row_count"]
    assert_no_secret(oleria_sandbox, *received, *(span.to_json() for span in spans()))


def test_a_failed_step_says_what_kind_of_error_it_was(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    metrics: Callable[[], list[str]],
    spans: Callable[[], list[ReadableSpan]],
) -> None:
    oleria_sandbox.fail(Fault(kind="create", status=403, times=1))
    with new_dag("failed_step") as dag:
        OleriaDownloadOperator(task_id="export", data_context=DataContext.RISKS)
    run = run_dag(dag)

    assert run.states == {"export": "failed"}
    assert "oleria.create.failed,oleria_conn_id=oleria_default,error=OleriaForbiddenError:1|c" in metrics()
    (span,) = spans()
    assert not span.status.is_ok
    assert span.status.description == "OleriaForbiddenError"
    assert not span.events
