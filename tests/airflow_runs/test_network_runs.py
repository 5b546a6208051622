"""Corporate networks and hangs in real Airflow, in the worker and in the triggerer."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_oleria.api import async_client, client, protocol, rate_limit
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.airflow_names import AIRFLOW_V_3_0_PLUS
from tests.hook.test_tracebacks import assert_nothing_shown
from tests.servers.certificates import Authority
from tests.servers.proxy import HOST, Proxy

from .conftest import REMEMBERS, RunDag, new_dag
from .exports import when
from .test_download_runs import assert_whole, both_modes


def export_dag(**arguments: Any) -> Any:
    with new_dag("network") as dag:
        OleriaDownloadOperator(
            **{
                "task_id": "export",
                "data_context": "identities",
                "poll_interval": 0.05,
                "retries": 2,
                "retry_delay": timedelta(0),
                **arguments,
            }
        )
    return dag


@both_modes
def test_a_proxy_without_scheme_serves_worker_and_triggerer(
    run_dag: RunDag, tenant: Callable[..., None], proxy: Proxy, deferrable: bool
) -> None:
    tenant()
    run = run_dag(export_dag(deferrable=deferrable))

    assert run.states == {"export": "success"}
    assert {head.split(" HTTP")[0] for head in proxy.requests} == {f"CONNECT {HOST}:443"}


@both_modes
def test_a_socks_proxy_serves_the_worker_and_is_refused_before_a_deferrable_task_starts_an_export(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    tenant: Callable[..., None],
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    deferrable: bool,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
    tenant()
    run = run_dag(export_dag(deferrable=deferrable))

    if deferrable:
        assert (run.states, run.tries) == ({"export": "failed"}, {"export": 1})
        assert "Set HTTPS_PROXY to an HTTP proxy, or run the task with deferrable=False" in run.log
        assert not oleria_sandbox.calls
    else:
        assert run.states == {"export": "success"}
        assert set(proxy.requests) == {f"SOCKS {HOST}"}


@both_modes
@pytest.mark.parametrize("since", ["the first request", "the wait"])
def test_an_untrusted_ca_fails_at_once_in_worker_and_triggerer(
    run_dag: RunDag,
    tenant: Callable[..., None],
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    since: str,
    deferrable: bool,
) -> None:
    tenant()
    another = Authority(tmp_path, "another-ca").issue(HOST)
    if since == "the first request":
        proxy.certificates[HOST] = another
    wait = protocol.wait

    def wait_behind_another_ca(*args: Any, **kwargs: Any) -> Any:
        proxy.certificates[HOST] = another
        return wait(*args, **kwargs)

    monkeypatch.setattr(protocol, "wait", wait_behind_another_ca)
    run = run_dag(export_dag(deferrable=deferrable))

    assert (run.states, run.tries) == ({"export": "failed"}, {"export": 1})
    assert (
        f"{HOST}, through the proxy http://127.0.0.1:{proxy.port} (from HTTPS_PROXY): its TLS certificate is not "
        "trusted (unable to get local issuer certificate) by the CA bundle"
    ) in run.log


@both_modes
@pytest.mark.parametrize(
    "fault",
    [Fault("token", hang=600), Fault("create", hang=600), Fault("get", hang=600), Fault("fetch", stall=100)],
    ids=["token", "create", "poll", "transfer"],
)
def test_execution_timeout_shows_no_secret_in_any_phase(
    run_dag: RunDag, oleria_sandbox: Sandbox, tmp_path: Path, *, fault: Fault, deferrable: bool
) -> None:
    if deferrable and fault.kind == "get":
        pytest.skip("no code of a deferred task runs in a worker, so there is no frame to search")
    seen: list[BaseException] = []
    oleria_sandbox.fail(fault)
    dag = export_dag(
        destination=f"file://{tmp_path}/out.csv",
        deferrable=deferrable,
        execution_timeout=timedelta(minutes=5),
        retries=0,
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )
    # Airflow's alarm goes off at this moment, however slow the machine is.
    with when(lambda: oleria_sandbox.count(fault.kind) > 0, lambda: os.kill(os.getpid(), signal.SIGALRM)):
        try:
            run_dag(dag)
        except BaseException as problem:
            if AIRFLOW_V_3_0_PLUS:
                raise
            seen.append(problem)  # dag.test() of Airflow 2.11 lets the timeout through

    assert type(seen[0]).__name__ == "AirflowTaskTimeout"
    assert_nothing_shown(seen[0], oleria_sandbox)
    assert not list(tmp_path.iterdir())


SPEED = 300
"""Seconds of the provider's clock that pass in one."""


@pytest.fixture
def gate_closed(oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Waits, back-off and the rate-limit gate run on a clock that is fast; set once the gate was closed."""
    start, closed = time.monotonic(), threading.Event()

    def clock() -> float:
        return start + (time.monotonic() - start) * SPEED

    class WatchedGate(rate_limit.Gate):
        def close(self, seconds: float) -> None:
            super().close(seconds)
            closed.set()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)

    for flow in (protocol.wait, protocol.get, protocol.call):
        monkeypatch.setitem(flow.__kwdefaults__, "clock", clock)
    monkeypatch.setitem(rate_limit._gates, oleria_sandbox.api_url, WatchedGate(clock))
    monkeypatch.setattr(client, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / SPEED)))
    monkeypatch.setattr(async_client, "asyncio", SimpleNamespace(sleep=sleep))
    return closed


@both_modes
def test_a_retry_after_of_15_minutes_is_waited_out(
    run_dag: RunDag, oleria_sandbox: Sandbox, gate_closed: threading.Event, deferrable: bool
) -> None:
    other_id = OleriaHook().create_download("risks").download_id
    oleria_sandbox.fail(Fault("get", status=429, headers={"Retry-After": "900"}))
    # Another task of the same process polls from the moment on that the first one is refused.
    with when(gate_closed.is_set, lambda: OleriaHook().wait_for_download(other_id, poll_interval=15)):
        run = run_dag(export_dag(deferrable=deferrable, poll_interval=15))

    assert run.states == {"export": "success"}
    assert (oleria_sandbox.count("create"), run.tries) == (2, {"export": 1})
    refused, *later = [call for call in oleria_sandbox.calls if call.kind == "get"]
    assert {call.download_id for call in later} == {other_id, refused.download_id}
    assert all(call.time - refused.time >= 900 / SPEED for call in later)


@both_modes
def test_a_status_that_is_not_known_is_waited_on_with_one_warning(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    deferrable: bool,
) -> None:
    oleria_sandbox.fail(Fault("get", fields={"status": "queued"}, times=2))
    run = run_dag(export_dag(destination=f"file://{tmp_path}/out.csv", deferrable=deferrable))

    assert (run.states, run.tries) == ({"export": "success"}, {"export": 1})
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["'queued'" in text for text in warnings if "does not know" in text] == [True]
    assert_whole(oleria_sandbox, run.xcom("export"))
    assert oleria_sandbox.count("create") == 1


@both_modes
def test_a_rotation_of_both_values_between_two_tries(
    run_dag: RunDag,
    oleria_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deferrable: bool,
) -> None:
    """Airflow 3.3 and newer resume the download; before, each try starts one."""

    def rotate(context: Any) -> None:
        oleria_sandbox.rotate_credentials()
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", oleria_sandbox.connection_json())

    oleria_sandbox.fail(Fault("fetch", status=503, times=8))
    run = run_dag(
        export_dag(destination=f"file://{tmp_path}/out.csv", deferrable=deferrable, on_retry_callback=rotate)
    )

    assert (run.states, run.tries) == ({"export": "success"}, {"export": 2})
    assert oleria_sandbox.count("token") > 1
    assert oleria_sandbox.count("create") == (1 if REMEMBERS else 2)
    assert_whole(oleria_sandbox, run.xcom("export"))
