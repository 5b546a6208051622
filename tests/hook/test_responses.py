"""Responses that are cut, too long, malformed or not in the contract, in the worker and in the triggerer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import Any

import pytest

from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.downloads import DataContext, Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaConfigurationError,
    OleriaError,
    OleriaProtocolError,
    OleriaResponseLostError,
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox

from .conftest import Ask
from .raw_server import ACCEPTED, TOKEN, Server, connection, http, raw_server

CUT_RESPONSES = [
    b"HTTP/1.1 20",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4",
    b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"id": "id-1", ',
    b"HTTP/1.1 401 Unauth",
    b"HTTP/1.1 403 Forbidden\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Type: appl",
    b"",
]
"""Connections that close within a response: in the status line, in the headers, before and in the body."""


@pytest.mark.parametrize("cut", CUT_RESPONSES)
@pytest.mark.parametrize("request_line", ["GET /v1/downloads/id-1", "POST /oauth2/token"])
def test_a_cut_response_is_requested_again(server: Server, get: Ask, request_line: str, cut: bytes) -> None:
    server.replies[request_line] = [cut, cut]

    assert get("id-1").download_id == "id-1"
    assert server.requests[request_line] == 3


def create(driver: str) -> Download:
    if driver == "worker":
        return OleriaHook().create_download("risks")
    return asyncio.run(OleriaHook().acreate_download("risks"))


@pytest.mark.parametrize("cut", CUT_RESPONSES)
@pytest.mark.parametrize("driver", ["worker", "event loop"])
def test_a_cut_response_to_a_post_is_lost_and_not_repeated(server: Server, driver: str, cut: bytes) -> None:
    server.replies["POST /v1/downloads"] = [cut]
    with pytest.raises(OleriaResponseLostError, match="not known whether the download of risks was created"):
        create(driver)

    assert server.requests["POST /v1/downloads"] == 1


@pytest.mark.parametrize("cut", CUT_RESPONSES)
@pytest.mark.parametrize("driver", ["worker", "event loop"])
def test_a_cut_response_of_the_token_endpoint_does_not_make_a_post_lost(
    server: Server, driver: str, cut: bytes
) -> None:
    server.replies["POST /oauth2/token"] = [cut, cut]
    assert create(driver).download_id == "id-1"
    assert (server.requests["POST /oauth2/token"], server.requests["POST /v1/downloads"]) == (3, 1)

    TOKENS.clear()
    server.usual["POST /oauth2/token"] = cut
    with pytest.raises(
        OleriaRetriesExhaustedError, match=r"the connection broke .* \(given up after 8 attempts"
    ):
        create(driver)
    assert server.requests["POST /v1/downloads"] == 1


def endless() -> bytes:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (http({**ACCEPTED, "note": "x" * 2_000_000}), "more than 1,048,576 bytes"),
        (endless(), "more than 1,048,576 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "no JSON object"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b'{"id":' * 100_000, "no JSON object"),
    ],
    ids=["long", "endless", "nested lists", "nested objects"],
)
def test_a_response_of_the_api_is_limited(server: Server, get: Ask, reply: bytes, message: str) -> None:
    server.usual["GET /v1/downloads/id-1"] = reply
    with pytest.raises(OleriaProtocolError, match=message) as caught:
        get("id-1")

    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (http({**TOKEN, "note": "raw-s3cret" * 200_000}), "more than 1,048,576 bytes"),
        (endless(), "more than 1,048,576 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "without an access token"),
        (b"HTTP/1.1 200 OK\r\n\r\n<p>raw-s3cret is not known</p>", "without an access token"),
        (http({"access_token": "tok\u00e9n-raw"}), "characters that no HTTP header"),
        (http({"access_token": "token\r\nraw: 1"}), "characters that no HTTP header"),
        (http({"access_token": "\ud800raw"}), "characters that no HTTP header"),
        (http({"access_token": {"value": "raw"}}), "without an access token"),
    ],
)
def test_a_response_of_the_token_endpoint_is_limited_and_not_quoted(
    server: Server, get: Ask, reply: bytes, message: str
) -> None:
    server.usual["POST /oauth2/token"] = reply
    with pytest.raises(OleriaProtocolError, match=message) as caught:
        get("id-1")

    assert "raw" not in str(caught.value)
    assert server.requests["GET /v1/downloads/id-1"] == 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            http({"error": "invalid_client", "error_description": "no raw-s3cret"}, 400),
            "400 invalid_client: cl",
        ),
        (http({"error": "raw-s3cret"}, 400), "400 without an OAuth error"),
        (http({"clientSecret": "raw-s3cret"}, 401), "401 without an OAuth error"),
        (http("raw-s3cret", 404), "404. Is extra 'auth_url'"),
        (http({**TOKEN, "scope": "raw-token"}), "granted another scope than"),
    ],
)
def test_a_refusal_quotes_the_oauth_error_alone(server: Server, get: Ask, reply: bytes, message: str) -> None:
    server.usual["POST /oauth2/token"] = reply
    with pytest.raises(OleriaError, match=message) as caught:
        get("id-1")

    assert "raw" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        http({"error": "TooManyRequestsException"}, 400),
        http({"error": "temporarily_unavailable"}, 400),
        http({"error": "invalid_client"}, 429),
        http({"__type": "TooManyRequestsException", "message": "Rate exceeded"}, 400),
        b"HTTP/1.1 400 Bad\r\nx-amzn-ErrorType: TooManyRequestsException:\r\nContent-Length: 2\r\n\r\n{}",
        http({"code": "ThrottlingException"}, 403),
        http({}, 408),
    ],
)
def test_a_throttled_token_request_is_repeated(server: Server, get: Ask, reply: bytes) -> None:
    server.replies["POST /oauth2/token"] = [reply, reply]

    assert get("id-1").download_id == "id-1"
    assert server.requests["POST /oauth2/token"] == 3


@pytest.mark.parametrize("status", [407, 511])
@pytest.mark.parametrize("request_line", ["POST /oauth2/token", "GET /v1/downloads/id-1"])
def test_what_a_proxy_in_between_answers_is_not_called_oleria(
    server: Server, get: Ask, request_line: str, status: int
) -> None:
    server.usual[request_line] = http({}, status)
    with pytest.raises(OleriaConfigurationError, match="Not Oleria, but"):
        get("id-1")

    assert server.requests[request_line] == 1


@pytest.mark.parametrize(
    ("value", "is_obeyed"),
    [
        ("9" * 5000, True),
        ("Fri, 31 Dec 9999 23:59:59 -2300", True),
        ("-5", False),
        ("Sun, 0 Foo 1 +99:99", False),
        ("Sun, 17 May 99999999999 06:40:30 GMT", False),
    ],
)
def test_an_absurd_retry_after_is_a_long_delay_or_none(
    server: Server, get: Ask, value: str, *, is_obeyed: bool
) -> None:
    reply = f"HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    server.replies["GET /v1/downloads/id-1"] = [reply]
    if is_obeyed:
        with pytest.raises(OleriaRetriesExhaustedError, match="answered 503"):
            get("id-1")
    else:
        assert get("id-1").download_id == "id-1"


def test_a_get_answered_with_408_is_repeated(oleria_sandbox: Sandbox, download_id: str, ask: Ask) -> None:
    oleria_sandbox.fail(Fault(kind="get", status=408, times=2))

    assert ask(download_id).download_id == download_id


def wait_here(download_id: str, timeout: float = 60) -> Any:
    return OleriaHook().wait_for_download(
        download_id, poll_interval=0.01, max_poll_interval=0.01, timeout=timeout
    )


def wait_in_loop(download_id: str, timeout: float = 60) -> Any:
    return asyncio.run(
        OleriaHook().await_for_download(
            download_id, poll_interval=0.01, max_poll_interval=0.01, timeout=timeout
        )
    )


WAITS = pytest.mark.parametrize("wait", [wait_here, wait_in_loop], ids=["worker", "triggerer"])


@WAITS
@pytest.mark.parametrize("status", ["queued", "running", None])
def test_a_status_that_is_not_known_keeps_the_id_and_is_waited_on(
    oleria_sandbox: Sandbox, caplog: pytest.LogCaptureFixture, wait: Any, status: str | None
) -> None:
    oleria_sandbox.settings.export_seconds = 0
    oleria_sandbox.fail(Fault(kind="create", fields={"status": status}))
    created = OleriaHook().create_download(DataContext.RISKS)
    assert created.status == (status or "accepted")
    oleria_sandbox.fail(Fault(kind="get", fields={"status": status, "url": None}, times=3))

    assert wait(created.download_id).status is DownloadStatus.COMPLETED
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [status in warning.getMessage() for warning in warnings] == ([True] if status else [])
    assert oleria_sandbox.count("create") == 1


@WAITS
def test_a_status_that_is_not_known_is_named_by_the_timeout(
    oleria_sandbox: Sandbox, download_id: str, wait: Any
) -> None:
    oleria_sandbox.fail(Fault(kind="get", fields={"status": "paused"}, times=None))
    with pytest.raises(OleriaTimeoutError, match="last status: paused"):
        wait(download_id, timeout=0.3)


@WAITS
def test_a_wait_ends_at_its_deadline_although_the_token_endpoint_asks_for_more(
    oleria_sandbox: Sandbox, download_id: str, wait: Any
) -> None:
    TOKENS.clear()
    oleria_sandbox.fail(Fault(kind="token", status=503, headers={"Retry-After": "900"}, times=None))
    with pytest.raises(OleriaTimeoutError, match=r"token endpoint .* 503"):
        wait(download_id, timeout=300)

    assert oleria_sandbox.count("token") == 1


@pytest.mark.parametrize(("kind", "status"), [("token", 503), ("get", 429), ("get", 503)])
def test_no_other_wait_sends_a_request_before_retry_after(
    oleria_sandbox: Sandbox, download_id: str, kind: str, status: int
) -> None:
    TOKENS.clear()
    oleria_sandbox.fail(Fault(kind=kind, status=status, headers={"Retry-After": "900"}, times=None))
    with pytest.raises(OleriaRetriesExhaustedError):
        OleriaHook().get_download(download_id)
    sent = oleria_sandbox.count(kind)

    async def main() -> list[Any]:
        waits = [
            OleriaHook().await_for_download(
                download_id, poll_interval=0.01, max_poll_interval=0.01, timeout=300
            )
            for _ in range(20)
        ]
        return await asyncio.gather(*waits, return_exceptions=True)

    for ended in asyncio.run(main()):
        assert isinstance(ended, OleriaTimeoutError)
        assert "requests to this tenant are paused" in str(ended)
    with pytest.raises(OleriaTimeoutError, match="are paused"):
        wait_here(download_id, timeout=300)
    assert oleria_sandbox.count(kind) == sent


def test_hanging_token_endpoints_leave_a_healthy_tenant_alone(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TOKENS.clear()
    with ExitStack() as stack:
        for number in range(40):
            url = stack.enter_context(raw_server(lambda _: None))
            monkeypatch.setenv(f"AIRFLOW_CONN_DEAD_{number}", connection(url))

        async def main() -> None:
            dead = [
                asyncio.create_task(OleriaHook(f"dead_{number}").aget_download("id-1"))
                for number in range(40)
            ]
            while len(TOKENS._mints) < 40:  # noqa: ASYNC110  # threads, which set no event of this loop
                await asyncio.sleep(0.01)
            assert (await OleriaHook().aget_download(download_id)).download_id == download_id
            for task in dead:
                task.cancel()
            await asyncio.gather(*dead, return_exceptions=True)

        asyncio.run(main())


def test_a_connection_that_reads_differently_each_time_is_given_up(
    oleria_sandbox: Sandbox, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_oleria.connection import settings

    original, numbers = settings.read_settings, iter(range(1000))

    def changing(connection: str, **fields: Any) -> Any:
        fields["extra"] = {**fields["extra"], "client_secret": f"wrong-{next(numbers)}"}
        return original(connection, **fields)

    monkeypatch.setattr(settings, "read_settings", changing)
    with pytest.raises(OleriaRetriesExhaustedError, match="invalid_client.*given up after 8"):
        ask("id-1")

    assert oleria_sandbox.count("token") == 8


def test_a_gate_is_of_one_tenant(oleria_sandbox: Sandbox, download_id: str, server: Server, get: Ask) -> None:
    gate(oleria_sandbox.api_url).close(900)

    assert get("id-1").download_id == "id-1"


def test_credentials_refused_by_a_json_body_are_not_throttling(server: Server, get: Ask) -> None:
    server.usual["POST /oauth2/token"] = http(
        {"error": "invalid_client", "error_description": "LimitExceeded"}, 400
    )
    with pytest.raises(OleriaAuthError):
        get("id-1")
    assert server.requests["POST /oauth2/token"] == 1
