"""Whatever the content, however it is cut up and broken: the whole file is published, or nothing."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from airflow.providers.common.compat.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net import backoff
from airflow_provider_oleria.transfer import destination, source
from airflow_provider_oleria.transfer.pipeline import Transferred, transfer

SETTINGS = Settings("https://api.example", "https://auth.example", "id", "secret", timeout=5)

pieces = st.sampled_from(
    [
        b'"',
        b'""',
        b"\n",
        b"\r\n",
        b"\r",
        b",",
        b"a",
        b"\xff\xfe",
        b"\0",
        b"\xef\xbb\xbf",
        "ü€".encode(),
        b"x" * 5000,
    ]
)
contents = st.lists(pieces, max_size=60).map(b"".join)
# How many bytes of each answer arrive before the connection breaks; None for all of them, -1 for a 403.
breaks = st.lists(st.one_of(st.none(), st.just(-1), st.integers(0, 6000)), max_size=12)
# From what speed on a connection is left alone: it is slow from the first chunk on, from any of them on, or never.
speeds = st.sampled_from([math.inf, 1e11, 1.0])


class Store:
    """Serves one object as S3 does, and breaks answers as told."""

    def __init__(self, content: bytes, breaks: list[int | None]) -> None:
        self.content = content
        self.etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        self._breaks = iter(breaks)
        self._lock = threading.Lock()

    def next_break(self) -> int | None:
        with self._lock:
            return next(self._breaks, None)

    @contextmanager
    def serving(self) -> Iterator[str]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                at_most = store.next_break()
                if at_most == -1:
                    self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return
                body, status, content_range = store.content, 200, None
                if asked := self.headers.get("Range"):
                    first, last = asked.removeprefix("bytes=").split("-")
                    body = body[int(first) : int(last) + 1 if last else None]
                    status, content_range = (
                        206,
                        f"bytes {first}-{int(first) + len(body) - 1}/{len(store.content)}",
                    )
                self.answer(status, body, content_range, at_most)

            def answer(
                self, status: int, body: bytes, content_range: str | None = None, at_most: int | None = None
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", store.etag)
                if content_range:
                    self.send_header("Content-Range", content_range)
                self.end_headers()
                self.wfile.write(body if at_most is None else body[:at_most])
                self.close_connection = at_most is not None

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/export.csv?X-Amz-Signature=f00d"
        finally:
            server.shutdown()
            server.server_close()


def rows_of(content: bytes) -> int:
    """What a row is, spelt out byte by byte."""
    ended, quoted, open_record = 0, False, False
    for byte in content:
        open_record = True
        if byte == ord('"'):
            quoted = not quoted
        elif byte == ord("\n") and not quoted:
            ended, open_record = ended + 1, False
    return max(0, ended + open_record - 1)


def fetched(
    content: bytes, breaks: list[int | None], options: SaveOptions, fast: float
) -> tuple[Transferred | None, bytes | None]:
    with (
        TemporaryDirectory() as folder,
        Store(content, breaks).serving() as url,
        patch.object(backoff, "INITIAL_BACKOFF", 0.001),
        patch.object(source, "_CHUNK", 700),
        patch.object(source, "_FAST", fast),
        patch.object(destination, "_DRAIN", 5000),
    ):
        file = Path(folder) / "out.csv"
        try:
            done = transfer(lambda: url, ObjectStoragePath(file.as_uri()), SETTINGS, options)
        except OleriaError:
            done = None
        assert [path.name for path in Path(folder).iterdir()] == (["out.csv"] if done else [])
        return done, file.read_bytes() if done else None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    content=contents, breaks=breaks, part_size=st.integers(500, 3000), parts=st.integers(1, 4), fast=speeds
)
def test_the_whole_file_or_nothing(
    content: bytes, breaks: list[int | None], part_size: int, parts: int, fast: float
) -> None:
    done, published = fetched(content, breaks, SaveOptions(max_concurrency=parts, part_size=part_size), fast)

    if done is not None:
        assert published == content
        sha256 = hashlib.sha256(content).hexdigest()
        assert (done.size_bytes, done.row_count) == (len(content), rows_of(content))
        assert (done.sha256, done.source_sha256) == (sha256, sha256)


@settings(max_examples=30, deadline=None)
@given(content=contents, parts=st.integers(1, 4), fast=speeds)
def test_without_breaks_it_is_always_published(content: bytes, parts: int, fast: float) -> None:
    done, published = fetched(content, [], SaveOptions(max_concurrency=parts, part_size=1000), fast)

    assert done is not None
    assert published == content
