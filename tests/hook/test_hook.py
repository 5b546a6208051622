"""The hook against the sandbox: real HTTP, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_oleria.api.rate_limit import RELEASE_INTERVAL, gate
from airflow_provider_oleria.downloads import DataContext, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaDownloadNotReadyError,
    OleriaError,
    OleriaForbiddenError,
    OleriaInputError,
    OleriaNotFoundError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaResponseLostError,
    OleriaRetriesExhaustedError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox

from .conftest import Ask


def test_create_wait_save(oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    hook = OleriaHook()
    created = hook.create_download(
        "accessInventoryIdentitiesV2",
        filter_by=[Filter.string("department").eq("Engineering")],
        sort_by=[Sort.desc("createdAt")],
    )
    assert created.status is DownloadStatus.ACCEPTED
    done = hook.wait_for_download(created.download_id, poll_interval=0.05)
    assert done.status is DownloadStatus.COMPLETED
    saved = hook.save_download(created.download_id, f"file://{tmp_path}/out.csv")

    expected = oleria_sandbox.expected(created.download_id)
    assert (saved.row_count, saved.size_bytes, saved.sha256) == (
        expected.row_count,
        expected.size_bytes,
        expected.sha256,
    )
    assert (tmp_path / "out.csv").read_bytes() == Path(expected.path).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert saved.path == f"file://{tmp_path}/out.csv"
    assert oleria_sandbox.count("token") == 1
    assert oleria_sandbox.count("create") == 1
    assert oleria_sandbox.count("fetch") == 1


def test_no_authorization_travels_with_the_presigned_url(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    OleriaHook().save_download(download_id, f"file://{tmp_path}/out.csv")

    assert [call.authorization for call in oleria_sandbox.calls if call.kind == "fetch"] == [False]


GET_FAULTS: list[tuple[Fault, type[OleriaError], str, int]] = [
    (Fault(kind="get", status=403, times=None), OleriaForbiddenError, "not scoped", 1),
    (Fault(kind="get", status=404, times=None), OleriaNotFoundError, "does not exist", 1),
    (Fault(kind="get", status=400, times=None), OleriaRequestError, "Check download_id", 1),
    (Fault(kind="get", status=200, body="<html>", times=None), OleriaProtocolError, "no JSON object", 1),
    (
        Fault(kind="get", status=302, headers={"Location": "https://elsewhere.example/"}, times=None),
        OleriaRequestError,
        "redirect",
        1,
    ),
    (Fault(kind="get", status=500, times=None), OleriaRetriesExhaustedError, "500", 8),
    (Fault(kind="get", drop=True, times=None), OleriaRetriesExhaustedError, "127.0.0.1.*connection broke", 8),
]


@pytest.mark.parametrize(("fault", "kind", "message", "calls"), GET_FAULTS)
def test_a_get_that_cannot_succeed(
    oleria_sandbox: Sandbox,
    download_id: str,
    ask: Ask,
    *,
    fault: Fault,
    kind: type[OleriaError],
    message: str,
    calls: int,
) -> None:
    oleria_sandbox.fail(fault)
    with pytest.raises(kind, match=message):
        ask(download_id)

    # aiohttp itself repeats a GET whose kept connection was closed before any answer
    assert calls <= oleria_sandbox.count("get") <= 2 * calls


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="get", status=500, times=3),
        Fault(kind="get", status=429, headers={"Retry-After": "0"}, times=3),
        Fault(kind="get", status=429, times=3),
        Fault(kind="get", drop=True, times=2),
        Fault(kind="get", cut=5),
        Fault(kind="token", status=503, times=2),
        Fault(kind="token", status=429, times=2),
    ],
)
def test_a_get_that_recovers(oleria_sandbox: Sandbox, download_id: str, ask: Ask, fault: Fault) -> None:
    oleria_sandbox.revoke_tokens()
    oleria_sandbox.fail(fault)

    assert ask(download_id).download_id == download_id


def test_a_hanging_call_ends_at_the_read_limit(
    oleria_sandbox: Sandbox, download_id: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_OLERIA_DEFAULT",
        oleria_sandbox.connection_json().replace('"extra": {', '"extra": {"timeout": 0.2, '),
    )
    oleria_sandbox.fail(Fault(kind="get", hang=60, times=None))
    hook_error = pytest.raises(OleriaRetriesExhaustedError, match="no response came in time")
    with hook_error:
        ask(download_id)


def test_a_refused_connection_is_no_lost_response(
    oleria_sandbox: Sandbox, ask: Ask, download_id: str
) -> None:
    ask(download_id)
    oleria_sandbox.close()
    with pytest.raises(OleriaError, match="connection was refused"):
        ask(download_id)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="create", drop=True), OleriaResponseLostError),
        (Fault(kind="create", cut=3), OleriaResponseLostError),
        (Fault(kind="create", status=500), OleriaUnavailableError),
        (Fault(kind="create", status=201, body="{}"), OleriaProtocolError),
    ],
)
def test_a_post_whose_answer_is_lost_is_not_repeated(
    oleria_sandbox: Sandbox, fault: Fault, kind: type[OleriaError]
) -> None:
    oleria_sandbox.fail(fault)
    with pytest.raises(kind):
        OleriaHook().create_download(DataContext.RISKS)

    assert oleria_sandbox.count("create") == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_post_that_was_not_taken_is_repeated(oleria_sandbox: Sandbox, status: int) -> None:
    oleria_sandbox.fail(Fault(kind="create", status=status, times=2))

    assert OleriaHook().create_download(DataContext.RISKS).download_id
    assert oleria_sandbox.count("create") == 3


def test_one_429_holds_back_every_thread_and_loop_of_the_process(
    oleria_sandbox: Sandbox, download_id: str
) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=429, headers={"Retry-After": "2"}))

    def in_thread() -> None:
        OleriaHook().get_download(download_id)

    async def many() -> None:
        await asyncio.gather(*(OleriaHook().aget_download(download_id) for _ in range(6)))

    first = threading.Thread(target=in_thread)
    first.start()
    deadline = time.monotonic() + 10
    while gate(oleria_sandbox.api_url).wait() == 0:
        assert time.monotonic() < deadline
    others = [threading.Thread(target=in_thread) for _ in range(3)]
    others.append(threading.Thread(target=lambda: asyncio.run(many())))
    for thread in others:
        thread.start()
    for thread in (first, *others):
        thread.join()

    refused, *later = [call for call in oleria_sandbox.calls if call.kind == "get"]
    assert refused.status == 429
    assert [call.status for call in later] == [200] * 10
    assert all(call.time >= refused.time + 2 for call in later)
    assert later[-1].time >= refused.time + 2 + 9 * RELEASE_INTERVAL


def test_plain_http_is_refused_for_any_other_host(oleria_sandbox: Sandbox) -> None:
    from oauthlib.oauth2 import InsecureTransportError

    session = OleriaHook().get_conn()
    for url in ("http://api.example/v1/downloads", "http://127.0.0.1:1/"):
        with pytest.raises(InsecureTransportError):
            session.get(url)


def test_a_missing_field_is_named_before_any_request(
    oleria_sandbox: Sandbox, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_OLERIA_DEFAULT", '{"conn_type": "oleria", "host": "https://api.example"}'
    )
    with pytest.raises(OleriaConfigurationError, match=r"auth_url.*client_id.*client_secret"):
        ask("some-id")

    assert not oleria_sandbox.calls


def test_saving_what_is_not_ready(oleria_sandbox: Sandbox, tmp_path: Path) -> None:
    oleria_sandbox.settings.export_seconds = 60
    created = OleriaHook().create_download(DataContext.RISKS)
    with pytest.raises(OleriaDownloadNotReadyError, match="accepted: wait for it"):
        OleriaHook().save_download(created.download_id, f"file://{tmp_path}/out.csv")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "destination", ["", "  ", "file:///tmp/", "file:///tmp", "nosuchstore://bucket/x.csv"]
)
def test_a_destination_that_is_no_file(oleria_sandbox: Sandbox, destination: str) -> None:
    with pytest.raises(OleriaInputError, match="destination"):
        OleriaHook().save_download("some-id", destination)

    assert not oleria_sandbox.calls
