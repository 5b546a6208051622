"""What a StatsD server and a tracer learn of an export."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.airflow_names import AIRFLOW_V_3_3_PLUS
from tests.leaks import assert_no_secret

from .conftest import RunDag, new_dag
from .test_download_runs import both_modes


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
    from airflow_provider_oleria.compat import Stats

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


def test_a_failed_step_has_the_kind_of_its_error(
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
