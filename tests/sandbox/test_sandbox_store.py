"""Presigned URLs behave as those of S3 do."""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from airflow_provider_oleria.sandbox import Fault, Sandbox

from .client import Client


@pytest.fixture
def url(client: Client) -> str:
    return client.url(client.create())


@pytest.fixture
def whole(client: Client, url: str) -> bytes:
    return client.fetch(url).content


def test_the_file_is_the_one_expected(client: Client) -> None:
    download_id = client.create()
    answer = client.fetch(client.url(download_id))
    expected = client.sandbox.expected(download_id)
    assert answer.status_code == 200
    assert len(answer.content) == expected.size_bytes == int(answer.headers["Content-Length"])
    assert hashlib.sha256(answer.content).hexdigest() == expected.sha256
    assert expected.path.read_bytes() == answer.content
    assert (answer.headers["Content-Type"], answer.headers["Accept-Ranges"]) == ("text/csv", "bytes")
    assert "Last-Modified" in answer.headers


def test_an_expired_url_is_refused_in_xml(client: Client) -> None:
    client.sandbox.settings.url_seconds = 0
    answer = client.fetch(client.url(client.create()))
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (403, "application/xml")
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in answer.text


def test_a_transfer_that_has_begun_outlives_its_url(client: Client) -> None:
    download_id = client.create()
    size = client.sandbox.expected(download_id).size_bytes
    client.sandbox.settings.url_seconds = 0.2
    client.sandbox.settings.bytes_per_second = size * 2
    url, started = client.url(download_id), time.monotonic()
    assert len(client.fetch(url).content) == size
    assert time.monotonic() - started > 0.3
    assert client.fetch(url).status_code == 403


@pytest.mark.parametrize(
    "tamper",
    [
        lambda url: url[:-4] + "beef",
        lambda url: url.replace("X-Amz-Expires=300", "X-Amz-Expires=9000"),
        lambda url: url + "&more=1",
        lambda url: url.replace(".csv", "x.csv"),
        lambda url: url.split("?")[0],
    ],
    ids=["signature", "expires", "parameter", "key", "unsigned"],
)
def test_a_url_that_was_not_signed_so_is_refused(
    client: Client, url: str, tamper: Callable[[str], str]
) -> None:
    assert client.fetch(tamper(url)).status_code == 403


def test_two_kinds_of_credentials_are_refused(client: Client, url: str) -> None:
    answer = client.fetch(url, **client.auth)
    assert answer.status_code == 400
    assert "<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed" in answer.text


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_a_url_signed_for_get_serves_no_other_method(client: Client, url: str, method: str) -> None:
    assert client.fetch(url, method).status_code == 403


def test_ranges(client: Client, url: str, whole: bytes) -> None:
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=10-99", 10, 99),
        ("bytes=100-", 100, len(whole) - 1),
        (f"bytes=5-{len(whole) + 100}", 5, len(whole) - 1),
    ):
        answer = client.fetch(url, Range=asked)
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
        assert answer.content == whole[first : last + 1]


def test_a_range_beyond_the_end_is_refused(client: Client, url: str, whole: bytes) -> None:
    answer = client.fetch(url, Range=f"bytes={len(whole)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    assert "<Code>InvalidRange</Code>" in answer.text


def test_a_store_without_ranges_sends_everything(client: Client, url: str, whole: bytes) -> None:
    client.sandbox.settings.ranges = False
    answer = client.fetch(url, Range="bytes=10-20")
    assert (answer.status_code, answer.content) == (200, whole)
    assert "Accept-Ranges" not in answer.headers


def test_conditions(client: Client, url: str, whole: bytes) -> None:
    etag = client.fetch(url).headers["ETag"]
    assert client.fetch(url, If_Match=etag).status_code == 200
    assert client.fetch(url, If_Match="*").status_code == 200
    refused = client.fetch(url, If_Match='"other"', Range="bytes=5-")
    assert refused.status_code == 412
    assert "<Code>PreconditionFailed</Code>" in refused.text
    assert client.fetch(url, If_Range=etag, Range="bytes=5-").content == whole[5:]
    assert client.fetch(url, If_Range='"other"', Range="bytes=5-").content == whole


def test_a_replaced_object_has_another_etag(client: Client) -> None:
    download_id = client.create()
    url = client.url(download_id)
    before, old = client.fetch(url), client.sandbox.expected(download_id)
    new = client.sandbox.replace_export(download_id)
    assert new == client.sandbox.expected(download_id)
    assert (new.row_count, new.sha256 != old.sha256) == (old.row_count, True)
    assert client.fetch(url, If_Match=before.headers["ETag"]).status_code == 412
    after = client.fetch(url)
    assert hashlib.sha256(after.content).hexdigest() == new.sha256
    # The next export of the same is the old one again, and that of another download never changed.
    assert client.sandbox.expected(client.create()).sha256 == old.sha256


@pytest.mark.parametrize(
    ("encoding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)], ids=["gzip", "deflate"]
)
def test_a_compressed_object_is_served_as_it_is_stored(
    client: Client, encoding: str, decode: Callable[[bytes], bytes]
) -> None:
    client.sandbox.settings.content_encoding = encoding
    download_id = client.create()
    url, expected = client.url(download_id), client.sandbox.expected(download_id)
    with client.http.get(url, stream=True, timeout=5) as answer:
        stored = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Encoding"] == encoding
    assert int(answer.headers["Content-Length"]) == len(stored) < expected.size_bytes
    assert hashlib.sha256(decode(stored)).hexdigest() == expected.sha256
    with client.http.get(url, stream=True, timeout=5, headers={"Range": "bytes=7-"}) as tail:
        assert tail.raw.read(decode_content=False) == stored[7:]
        assert tail.headers["ETag"] == answer.headers["ETag"]


def test_files_are_shared_while_it_runs_and_gone_afterwards() -> None:
    with Sandbox(rows=10, export_seconds=0) as sandbox:
        client = Client(sandbox)
        one, other, third = client.create(), client.create(), client.create("employees")
        paths: list[Path] = [sandbox.expected(download_id).path for download_id in (one, other, third)]
        assert paths[0] == paths[1] != paths[2]
        assert all(path.exists() for path in paths)
    assert not any(path.parent.exists() for path in paths)


def test_a_client_may_leave_in_the_middle(client: Client) -> None:
    client.sandbox.settings.rows = 100_000  # more than fits into the buffers between the two
    url = client.url(client.create())
    with client.http.get(url, stream=True, timeout=5) as answer:
        assert len(answer.raw.read(10)) == 10
    assert client.fetch(url, Range="bytes=0-9").status_code == 206


def test_many_clients_at_once(client: Client, url: str, whole: bytes) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: requests.get(url, timeout=5).content, range(64)))
    assert set(answers) == {whole}


def test_closing_waits_for_nothing() -> None:
    with Sandbox(rows=20_000_000, export_seconds=0) as sandbox:
        client = Client(sandbox)
        sandbox.fail(Fault("get", hang=60))
        download_id = client.create()
        with pytest.raises(OSError, match="timed out"):
            client.get(download_id, timeout=0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 2
