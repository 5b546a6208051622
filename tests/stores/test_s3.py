"""Saving to S3: a real API, real uploads in parts."""

from __future__ import annotations

import csv
import gc
import gzip
import hashlib
import io
import json
import math
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet
import pytest
import requests
import zstandard
from moto.server import ThreadedMotoServer

from airflow_provider_oleria.compat import AirflowFailException, ObjectStoragePath
from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaDestinationError,
    OleriaInputError,
    OleriaTransientError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.pipeline import transfer
from airflow_provider_oleria.transfer.source import Source
from tests.servers.processes import until
from tests.servers.s3 import Bucket, Gateway

from .exports import export

SMALL = 1_000
LARGE = 80_000
"""Rows, for a CSV of about 15 MB: two parts of an upload."""

SETTINGS = Settings(
    "http://127.0.0.1", "https://auth.example", "id", "secret", retry=RetryPolicy(initial_backoff=0.01)
)

PREVIOUS = b"yesterday's\n1\n"


@pytest.mark.parametrize("rows", [SMALL, LARGE])
def test_the_file_is_complete(oleria_sandbox: Sandbox, bucket: Bucket, rows: int) -> None:
    download_id = export(oleria_sandbox, rows)

    saved = OleriaHook().save_download(download_id, bucket.path("oleria/out.csv"))

    expected = oleria_sandbox.expected(download_id)
    assert (saved.row_count, saved.size_bytes, saved.sha256) == (
        expected.row_count,
        expected.size_bytes,
        expected.sha256,
    )
    assert bucket.read("oleria/out.csv") == expected.path.read_bytes()
    assert bucket.keys() == ["oleria/out.csv"]
    assert bucket.unfinished_uploads() == []
    if rows == LARGE:
        assert bucket.parts("oleria/out.csv") > 1


@pytest.mark.parametrize("cut", [100_000, 9_000_000], ids=["before the first part", "after the first part"])
def test_a_transfer_that_breaks_for_good_leaves_nothing(
    oleria_sandbox: Sandbox, bucket: Bucket, cut: int
) -> None:
    bucket.put("out.csv", PREVIOUS)
    download_id = export(oleria_sandbox, LARGE)
    oleria_sandbox.fail(Fault(kind="fetch", cut=cut))
    oleria_sandbox.fail(Fault(kind="fetch", nth=2, times=None, drop=True))

    with pytest.raises(OleriaTransientError):
        OleriaHook().save_download(download_id, bucket.path("out.csv"))

    gc.collect()  # fsspec's files do things when they are finalised
    assert bucket.read("out.csv") == PREVIOUS
    assert bucket.keys() == ["out.csv"]
    assert bucket.unfinished_uploads() == []


def test_a_broken_transfer_leaves_no_file_open(oleria_sandbox: Sandbox, bucket: Bucket) -> None:
    """A discarded file that is still open starts an upload when it is finalised, or hangs the interpreter's exit."""
    download_id = export(oleria_sandbox, SMALL)
    oleria_sandbox.fail(Fault(kind="fetch", times=None, drop=True))

    with pytest.raises(OleriaTransientError):
        OleriaHook().save_download(download_id, bucket.path("out.csv"))

    files = [found for found in gc.get_objects() if type(found).__name__ == "S3File"]
    still_open = [file for file in files if file.path.startswith(bucket.name) and not file.closed]
    for file in still_open:
        file.closed = True  # or it would hang this very process
    assert still_open == []


def test_what_a_killed_worker_left_behind_is_removed(oleria_sandbox: Sandbox, bucket: Bucket) -> None:
    for key in ("out.csv", "out.csv.other"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    OleriaHook().save_download(export(oleria_sandbox, SMALL), bucket.path("out.csv"))

    assert bucket.unfinished_uploads() == ["out.csv.other"]


def test_an_upload_that_s3_loses_keeps_the_previous_object(oleria_sandbox: Sandbox, bucket: Bucket) -> None:
    bucket.put("out.csv", PREVIOUS)
    download_id = export(oleria_sandbox, LARGE)
    oleria_sandbox.settings.bytes_per_second = 10_000_000

    def lose() -> None:
        while not (found := bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads")):
            time.sleep(0.01)
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key="out.csv", UploadId=found[0]["UploadId"])

    with ThreadPoolExecutor() as pool:
        lost = pool.submit(lose)
        path = ObjectStoragePath(bucket.path("out.csv"))
        with pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: "):
            transfer(lambda: url_of(download_id), path, SETTINGS, SaveOptions())
        lost.result()

    assert bucket.read("out.csv") == PREVIOUS
    assert bucket.unfinished_uploads() == []


def url_of(download_id: str) -> str:
    url = OleriaHook().get_download(download_id).url
    assert url
    return url


def test_a_bucket_that_is_not_there_is_found_before_an_export_is_started(
    oleria_sandbox: Sandbox, bucket: Bucket
) -> None:
    operator = OleriaDownloadOperator(
        task_id="export", data_context="risks", destination="s3://aws_default@no-such-bucket/out.csv"
    )
    with pytest.raises(AirflowFailException, match="cannot be written: The specified bucket does not exist"):
        operator.execute({})

    assert not oleria_sandbox.calls


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An S3 by a Connection of its own, not asked again and again; returns the Connection's id."""
    # s3fs itself gives up after 5 s without a connection, and 15 s without a response: a busy machine needs longer.
    config = {"retries": {"total_max_attempts": 1}, "connect_timeout": 60, "read_timeout": 60}
    extra = {"endpoint_url": endpoint, "config_kwargs": config}
    conn_id = f"aws_{endpoint.rpartition(':')[2]}"
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return conn_id


def test_s3_out_of_reach_is_found_before_an_export_is_started(
    oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = f"s3://{reach('http://127.0.0.1:9', monkeypatch)}@lake/out.csv"
    task = OleriaDownloadOperator(
        task_id="export", data_context=DataContext.ACCESS_INVENTORY_IDENTITIES, destination=destination
    )

    with pytest.raises(OleriaDestinationError, match=f"{destination!r} cannot be written: .*connect"):
        task.execute({})
    assert oleria_sandbox.count("create") == 0


def test_s3_that_goes_away_in_the_middle_keeps_the_previous_object_and_the_next_save_cleans_up(
    oleria_sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("out.csv", PREVIOUS)
    download_id = export(oleria_sandbox, LARGE)
    oleria_sandbox.settings.bytes_per_second = 2_000_000
    another_door = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    another_door.start()
    conn_id = reach("http://{}:{}".format(*another_door.get_host_and_port()), monkeypatch)

    def close_it() -> None:
        until(bucket.unfinished_uploads, "the upload is begun")
        another_door.stop()

    closing = threading.Thread(target=close_it)
    closing.start()
    with pytest.raises(OleriaDestinationError, match="cannot be written"):
        OleriaHook().save_download(download_id, f"s3://{conn_id}@{bucket.name}/out.csv")
    closing.join()

    assert bucket.read("out.csv") == PREVIOUS
    oleria_sandbox.settings.bytes_per_second = None
    OleriaHook().save_download(download_id, bucket.path("out.csv"))
    assert bucket.read("out.csv") == oleria_sandbox.expected(download_id).path.read_bytes()
    assert bucket.unfinished_uploads() == []


CONTENT = b"id,name\r\n" + b"".join(
    b'%06d,"a ""quoted""\nname, \xc3\xbc"\r\n' % number for number in range(60_000)
)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst", ".parquet"])
def test_from_s3_to_s3_in_every_format_over_breaking_connections(bucket: Bucket, suffix: str) -> None:
    bucket.put("source.csv", CONTENT)
    presigned = bucket.presigned("source.csv")
    with breaking(urlsplit(presigned).port, after=300_000, times=6) as port:
        url = presigned.replace(f":{urlsplit(presigned).port}", f":{port}")
        done = transfer(
            lambda: url,
            ObjectStoragePath(bucket.path(f"out{suffix}")),
            SETTINGS,
            SaveOptions(max_concurrency=3, part_size=500_000),
            partial(Source, fast_connection=math.inf),
        )

    stored = bucket.read(f"out{suffix}")
    assert done.row_count == 60_000
    assert (done.size_bytes, done.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert done.source_sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert read_back(stored, suffix) == list(csv.reader(io.StringIO(CONTENT.decode(), newline="")))
    assert bucket.unfinished_uploads() == []


def read_back(stored: bytes, suffix: str) -> list[list[str]]:
    match suffix:
        case ".parquet":
            table = pyarrow.parquet.read_table(io.BytesIO(stored))
            return [table.column_names, *([*row.values()] for row in table.to_pylist())]
        case ".csv.gz":
            stored = gzip.decompress(stored)
        case ".csv.zst":
            stored = zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    return list(csv.reader(io.StringIO(stored.decode(), newline="")))


@contextmanager
def breaking(port: int | None, *, after: int, times: int) -> Iterator[int]:
    """A line to ``port`` that breaks after some bytes of a response, some times."""
    left = threading.Semaphore(times)

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            threading.Thread(target=pump, args=(client, server, None), daemon=True).start()
            pump(server, client, after if left.acquire(blocking=False) else None)

    def pump(reader: socket.socket, writer: socket.socket, at_most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := reader.recv(65536):
                writer.sendall(data)
                passed += len(data)
                if at_most is not None and passed >= at_most:
                    break
        for end in (reader, writer):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # close() alone would wait for the other thread's recv()

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_presigned_url_is_honoured(bucket: Bucket) -> None:
    """What the tests of the transfer stand on: URLs as boto3 makes them, ranges, ETags."""
    bucket.put("source.csv", b"a,b\n1,2\n")
    url = bucket.presigned("source.csv")

    whole = requests.get(url, timeout=10)
    part = requests.get(url, headers={"Range": "bytes=4-", "If-Match": whole.headers["ETag"]}, timeout=10)
    other = requests.get(url, headers={"If-Match": '"another"'}, timeout=10)

    assert "X-Amz-Signature=" in url
    assert (whole.status_code, whole.content) == (200, b"a,b\n1,2\n")
    assert (part.status_code, part.content) == (206, b"1,2\n")
    assert other.status_code == 412


# -- parts in flight, narrow rights, lost requests ----------------------------------------------------------------

PART = 5 * 1024 * 1024


def write_through(gateway: Gateway, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with gateway.serving() as endpoint:
        path = resolve(f"s3://{reach(endpoint, monkeypatch)}@{bucket.name}/out.csv")
        check_writable(path)
        gateway.requests.clear()
        with publish(path, len(content), max_concurrency=3) as file:
            for start in range(0, len(content), 700_000):
                file.write(content[start : start + 700_000])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART])
def test_a_small_object_is_one_put(
    bucket: Bucket, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    gateway = Gateway(s3_endpoint)
    write_through(gateway, bucket, monkeypatch, bytes(size))

    assert bucket.read("out.csv") == bytes(size)
    assert [path for method, path in gateway.requests if method in ("PUT", "POST")] == [
        f"/{bucket.name}/out.csv"
    ]


@pytest.mark.parametrize("size", [PART + 1, 4 * PART, 6 * PART + 3])
def test_parts_are_in_flight_at_once_and_never_more_than_allowed(
    bucket: Bucket, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    content, parts = random.Random(1).randbytes(size), -(-size // PART)
    at_once = min(3, parts)
    together = threading.Barrier(at_once, timeout=60)

    def wait_for_the_others(method: str, path: str) -> None:
        if any(f"partNumber={number}&" in f"{path}&" for number in range(1, at_once + 1)):
            together.wait()

    gateway = Gateway(s3_endpoint, wait_for_the_others)
    write_through(gateway, bucket, monkeypatch, content)

    assert bucket.read("out.csv") == content
    assert bucket.parts("out.csv") == parts
    assert gateway.most_parts == at_once


def test_a_part_that_fails_is_sent_again(
    bucket: Bucket, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(["2", "4"])
    pending = {next(failures), next(failures)}

    def refuse(method: str, path: str) -> tuple[int, str] | None:
        number = (parse_qs(urlsplit(path).query).get("partNumber") or [""])[0]
        if number in pending:
            pending.discard(number)
            return 503, "SlowDown"
        return None

    content = random.Random(2).randbytes(5 * PART)
    write_through(Gateway(s3_endpoint, refuse), bucket, monkeypatch, content)

    assert not pending
    assert bucket.read("out.csv") == content


@pytest.mark.parametrize("operation", ["partNumber=3", "uploads", "uploadId"])
def test_a_part_that_is_refused_for_good_aborts_the_upload(
    bucket: Bucket, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    bucket.put("out.csv", PREVIOUS)
    is_checked = False

    def refuse(method: str, path: str) -> tuple[int, str] | None:
        refused = is_checked and method in ("PUT", "POST") and operation in path
        return (403, "AccessDenied") if refused else None

    gateway = Gateway(s3_endpoint, refuse)
    with gateway.serving() as endpoint:
        path = resolve(f"s3://{reach(endpoint, monkeypatch)}@{bucket.name}/out.csv")
        check_writable(path)
        is_checked = True
        with (
            pytest.raises(
                OleriaInputError, match="AccessDenied by the gateway. Check the Airflow Connection"
            ),
            publish(path, 0, max_concurrency=2) as file,
        ):
            file.write(bytes(6 * PART))

    assert bucket.read("out.csv") == PREVIOUS
    assert bucket.unfinished_uploads() == []


@pytest.mark.parametrize(
    ("method", "query", "status", "code", "warning"),
    [
        ("DELETE", "uploadId=", 403, "AccessDenied", "could not be aborted: AccessDenied by the gateway"),
        ("DELETE", "uploadId=", 405, "MethodNotAllowed", "could not be aborted: "),
        ("POST", "uploads", 405, "MethodNotAllowed", "has no multipart uploads"),
        ("POST", "uploads", 501, "NotImplemented", "has no multipart uploads"),
        ("GET", "uploads", 403, "AccessDenied", ""),
    ],
)
def test_the_check_needs_no_right_that_the_write_does_not_need(
    bucket: Bucket,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    query: str,
    status: int,
    code: str,
    warning: str,
) -> None:
    gateway = Gateway(
        s3_endpoint, lambda *seen: (status, code) if seen[0] == method and query in seen[1] else None
    )
    write_through(gateway, bucket, monkeypatch, b"new")

    assert bucket.read("out.csv") == b"new"
    assert warning in caplog.text


def test_the_check_leaves_no_upload_and_no_object(bucket: Bucket) -> None:
    check_writable(resolve(bucket.path("out.csv")))

    assert bucket.unfinished_uploads() == []
    assert bucket.keys() == []


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_connection_that_does_not_exist_is_found_before_an_export_is_started(
    oleria_sandbox: Sandbox, bucket: Bucket, scheme: str
) -> None:
    task = OleriaDownloadOperator(
        task_id="export",
        data_context=DataContext.ACCESS_INVENTORY_IDENTITIES,
        destination=f"{scheme}://nosuch@{bucket.name}/out.csv",
    )

    with pytest.raises(
        AirflowFailException, match="cannot be opened: The conn_id `nosuch` isn't defined. Create the"
    ):
        task.execute({})
    assert oleria_sandbox.count("create") == 0
