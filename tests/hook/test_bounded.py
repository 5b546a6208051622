"""Answers of absurd size, depth or number, in the worker and in the triggerer: each ends in an error of the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.api import responses
from airflow_provider_oleria.exceptions import OleriaError, OleriaRequestError, OleriaTransientError
from airflow_provider_oleria.filters import Filter, checked_filters
from airflow_provider_oleria.hooks.oleria import OleriaHook

from .conftest import Ask
from .raw_server import ACCEPTED, Server, http, raw_server

GET = "GET /v1/downloads/id-1"


def answered(body: bytes, status: int = 400) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"code": "no", "message": "client_secret Bearer eyJ?a=%41&amp;\\" * 3000}).encode(),
        json.dumps({"message": [{}] * 100_000}).encode(),
        json.dumps({"message": list(range(100_000))}).encode(),
        b'{"message": ' + b"9" * 5000 + b"}",
        b'{"code": 1e999, "message": NaN}',
        b"<p>client_secret &amp; %41</p>\n" * 700_000,
        b"\xff" * 2_000_000,
        *(b'{"message": ' + b"[" * depth + b"]" * depth + b"}" for depth in (500, 990, 2000, 9000, 100_000)),
        *(b'{"error":' * depth + b"1" + b"}" * depth for depth in (500, 990, 2000, 9000, 100_000)),
    ],
    ids=lambda body: f"{body[:12]!r}, {len(body)} bytes",
)
def test_an_error_of_any_size_is_a_short_error(server: Server, get: Ask, body: bytes) -> None:
    server.usual[GET] = answered(body)
    with pytest.raises(OleriaRequestError, match="answered 400") as caught:
        get("id-1")

    assert len(str(caught.value)) <= 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("depth", [500, 990, 2000, 5000])
def test_a_failed_download_with_a_nested_error(server: Server, get: Ask, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    server.usual[GET] = answered(b'{"id": "id-1", "status": "failed", "error": ' + nested + b"}", 200)
    try:
        assert len(get("id-1").error) <= 800
    except OleriaError as problem:  # Python's limit of depth
        assert len(str(problem)) <= 1000  # noqa: PT017  # either is right


def test_an_outage_with_a_long_page_is_an_outage(server: Server, get: Ask) -> None:
    server.replies[GET] = [answered(b"<p>Bad gateway</p>" * 200_000, 502)] * 2

    assert get("id-1").download_id == "id-1"


def test_a_large_body_with_few_values_is_read(server: Server, get: Ask) -> None:
    server.usual[GET] = http({**ACCEPTED, "note": "x" * 900_000})

    assert get("id-1").download_id == "id-1"


def test_a_body_of_many_values_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    loads = json.loads
    monkeypatch.setattr(responses.json, "loads", lambda body: parsed.append(len(body)) or loads(body))

    assert responses.parse_object(b'{"id": [' + b"{}," * 100_000 + b"{}]}") is None
    assert responses.parse_object(b'{"id": "x"}') == {"id": "x"}
    assert parsed == [11]


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: " + "9" * 5000,
        "Content-Length: " + "9" * 5000 + "\r\nTransfer-Encoding: chunked",
        "Content-Length: -1",
        "Content-Length: \u0663",
        "Content-Length: 10\r\nContent-Range: bytes 0-9/" + "9" * 5000,
        "Content-Length: 10\r\nETag: " + "9" * 50_000,
        "Content-Length: 10\r\nRetry-After: " + "9" * 5000,
    ],
    ids=lambda headers: headers[:40],
)
@pytest.mark.parametrize("status", [200, 206, 503])
def test_a_store_with_absurd_numbers(
    server: Server,
    tmp_path: Path,
    headers: str,
    status: int,
) -> None:
    reply = f"HTTP/1.1 {status} X\r\n{headers}\r\nConnection: close\r\n\r\nid\n1\n2\n3\n4".encode()
    with raw_server(lambda _: reply) as store:
        server.usual[GET] = http({"id": "id-1", "status": "completed", "url": f"{store}/x.csv"})
        try:
            OleriaHook().save_download("id-1", (tmp_path / "out.csv").as_uri())
        except OleriaTransientError as problem:
            assert len(str(problem)) <= 1000  # noqa: PT017  # a file that is whole is right, too


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_moment_out_of_range_in_utc(moment: str) -> None:
    from datetime import datetime

    for value in (moment, datetime.fromisoformat(moment)):
        with pytest.raises(OleriaError):
            checked_filters([_equals(value)])


def _equals(value: Any) -> Any:
    return Filter.timestamp("createdAt").eq(value)
