"""Responses that arrive a byte at a time, or without end: each call ends at its total limit, a transfer at its rate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaError,
    OleriaResponseLostError,
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
    OleriaTransferError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.net.read_limit import ReadLimit

from .raw_server import Slow, connection, raw_server
from .raw_server import http as whole
from .saving import ONE_STREAM, save

TOKEN = whole({"access_token": "abc", "expires_in": 3600})
ACCEPTED = whole({"id": "id-1", "status": "accepted"})

ENDLESS = {
    "status line": Slow(b"HTTP/1.1 200 ", b"O"),
    "headers": Slow(b"HTTP/1.1 200 OK\r\nX-Note: ", b"x"),
    "interim responses": Slow(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": Slow(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
    "chunks": Slow(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body of a redirect": Slow(b"HTTP/1.1 302 No\r\nLocation: /x\r\nContent-Length: 1000000\r\n\r\n"),
    "body of an error": Slow(b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n"),
}


class Server:
    """The API and the token endpoint. ``replies`` are by ``METHOD /path``."""

    url = ""

    def __init__(self) -> None:
        self.replies: dict[str, bytes | Slow] = {
            "POST /oauth2/token": TOKEN,
            "POST /v1/downloads": ACCEPTED,
            "GET /v1/downloads/id-1": ACCEPTED,
        }
        self.requests: Counter[str] = Counter()

    def __call__(self, request: str) -> bytes | Slow:
        self.requests[request] += 1
        return self.replies[request]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Its usual Connection is impatient: the total limit of a call is five times its timeout."""
    one = Server()
    with raw_server(one) as url:
        one.url = url
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection(url, timeout=0.1, retry_attempts=1))
        monkeypatch.setenv("AIRFLOW_CONN_PATIENT", connection(url, timeout=60))
        OleriaHook("patient").get_download("id-1")  # requests the token of both
        yield one


Call = Callable[[], Any]
GETS: dict[str, Call] = {
    "worker": lambda: OleriaHook().get_download("id-1"),
    "triggerer": lambda: asyncio.run(OleriaHook().aget_download("id-1")),
}
POSTS: dict[str, Call] = {
    "worker": lambda: OleriaHook().create_download("risks"),
    "triggerer": lambda: asyncio.run(OleriaHook().acreate_download("risks")),
}


@pytest.mark.parametrize("get", GETS.values(), ids=GETS)
@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("request_line", ["GET /v1/downloads/id-1", "POST /oauth2/token"])
def test_a_response_without_end_is_given_up(server: Server, get: Call, request_line: str, kind: str) -> None:
    server.replies[request_line] = ENDLESS[kind]
    if request_line == "POST /oauth2/token":
        TOKENS.clear()
    with pytest.raises(OleriaRetriesExhaustedError, match="given up after 1 attempts"):
        get()


@pytest.mark.parametrize("post", POSTS.values(), ids=POSTS)
@pytest.mark.parametrize("kind", ["headers", "body", "body of a redirect"])
def test_a_post_whose_response_has_no_end_is_lost(server: Server, post: Call, kind: str) -> None:
    server.replies["POST /v1/downloads"] = ENDLESS[kind]
    with pytest.raises(OleriaResponseLostError, match="no response came in time"):
        post()

    assert server.requests["POST /v1/downloads"] <= 1


def test_a_slow_response_within_the_limit_is_read(server: Server) -> None:
    server.replies["GET /v1/downloads/id-1"] = Slow(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", times=12, end=b'{"id": "id-1", "status": "accepted"}'
    )

    assert OleriaHook("patient").get_download("id-1").status == "accepted"


@pytest.mark.parametrize("in_loop", [False, True], ids=["worker", "triggerer"])
def test_a_token_request_ends_with_the_wait_that_needs_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, *, in_loop: bool
) -> None:
    """The token comes in a few seconds, within the total limit of the call, and too late for the wait."""
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection(server.url, timeout=1))
    TOKENS.clear()
    server.replies["POST /oauth2/token"] = Slow(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", times=150, end=b'{"access_token": "abc"}'
    )
    server.replies["GET /v1/downloads/id-1"] = whole(
        {"id": "id-1", "status": "completed", "url": "https://x"}
    )
    pauses: Any = {"poll_interval": 0.01, "max_poll_interval": 0.01, "timeout": 0.3}
    with pytest.raises(OleriaTimeoutError, match="no response came in time|did not respond in time"):
        if in_loop:
            asyncio.run(OleriaHook().await_for_download("id-1", **pauses))
        else:
            OleriaHook().wait_for_download("id-1", **pauses)

    assert server.requests["GET /v1/downloads/id-1"] == 1  # the fixture's


def save_from(
    server: Server, reply: Slow, destination: Path, options: SaveOptions = ONE_STREAM, **of_source: Any
) -> None:
    server.replies["GET /v1/downloads/id-1"] = whole(
        {"id": "id-1", "status": "completed", "url": f"{server.url}/export.csv"}
    )
    server.replies["GET /export.csv"] = reply
    save("id-1", destination, options, **of_source)


@pytest.mark.parametrize("etag", [b'"one"', b'W/"one"'])
def test_a_store_that_sends_hardly_anything_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, etag: bytes
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection(server.url, timeout=60, retry_attempts=1))
    with pytest.raises(OleriaError, match=r"the store sent \d+ bytes in \d+ s, less than 100 a second"):
        reply = Slow(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: %b\r\n\r\n" % etag)
        save_from(server, reply, tmp_path / "out.csv", rate_window=0.2)

    assert not list(tmp_path.iterdir())


def test_a_store_that_sends_without_end_fills_no_disk(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection(server.url, timeout=60, retry_attempts=1))
    chunk = b"10000\r\n" + b"row\n" * 0x4000 + b"\r\n"
    endless = Slow(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk)
    with pytest.raises(OleriaCheckError, match="max_bytes: expected at most 200,000 bytes"):
        save_from(server, endless, tmp_path / "out.csv", SaveOptions(max_bytes=200_000))

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["status line", "headers", "interim responses", "body of a redirect"])
def test_a_store_whose_headers_have_no_end_is_given_up(server: Server, tmp_path: Path, kind: str) -> None:
    with pytest.raises(OleriaError, match="given up after 1 attempts"):
        save_from(server, ENDLESS[kind], tmp_path / "out.csv")

    assert not list(tmp_path.iterdir())


class Reads:
    """Reads that take a second each, by a clock of their own."""

    def __init__(self, *sizes: int) -> None:
        self.now = 0.0
        self.sizes = iter(sizes)

    def readinto(self, buffer: bytearray) -> int:
        self.now += 1.0
        return next(self.sizes)


def read_all(reads: Reads, limit: ReadLimit) -> int:
    number = 0
    for number in count():  # noqa: B007  # the result
        try:
            limit.read_into(bytearray(1), reads, None, 0.0)  # type: ignore[arg-type]  # reads as a file
        except StopIteration:
            break
    return number


def test_a_slow_line_is_not_cut() -> None:
    reads = Reads(*[100] * 300, *([0] * 59 + [6_000]) * 10)

    assert read_all(reads, ReadLimit(lowest_rate=100, clock=lambda: reads.now)) == 900


@pytest.mark.parametrize("sizes", [[99] * 60, [1_000_000] + [0] * 59 + [1] * 60, [0] * 60])
def test_a_line_that_brings_hardly_anything_for_a_minute_is_cut(sizes: list[int]) -> None:
    reads = Reads(*sizes)
    with pytest.raises(OleriaTransferError, match="less than 100 a second"):
        read_all(reads, ReadLimit(lowest_rate=100, clock=lambda: reads.now))


def test_the_time_between_two_reads_is_not_that_of_the_line() -> None:
    reads = Reads(*[200] * 10)
    limit = ReadLimit(lowest_rate=100, clock=lambda: reads.now)
    for _ in range(10):
        limit.read_into(bytearray(1), reads, None, 0.0)  # type: ignore[arg-type]  # reads as a file
        reads.now += 3600  # a slow destination
