"""A store whose responses a test chooses, and a transfer from it."""

from __future__ import annotations

import math
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.transfer.pipeline import Transferred, transfer
from airflow_provider_oleria.transfer.source import Source
from tests.servers.http import serving

SHORT_PAUSES = RetryPolicy(initial_backoff=0.01)
SLOW = partial(Source, fast_connection=math.inf)
"""No connection is fast enough alone, not even on loopback: what can be fetched in parts is."""
CONTENT = b"id,name\n" + b"".join(b"%06d,a name\n" % number for number in range(60_000))
ROWS = 60_000
PARTS = SaveOptions(max_concurrency=4, part_size=100_000)
ONE_STREAM = SaveOptions(max_concurrency=1)


either_way = pytest.mark.parametrize("options", [PARTS, ONE_STREAM], ids=["parts", "one stream"])


@dataclass
class Answer:
    """An answer of the store, and how much of it arrives.

    :param at_most: how many bytes of the body are sent before the connection ends.
    :param header_ends: behind which text of the header the connection ends instead.
    :param reset: whether it ends with a reset, after which bytes that had arrived may be lost, or is closed.
    :param then: called before a reset.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    at_most: int | None = None
    header_ends: str = ""
    reset: bool = True
    then: Callable[[], object] = lambda: time.sleep(0.01)

    def but(self, *, without: tuple[str, ...] = (), **headers: str) -> Answer:
        """The same with other headers, named as in Python: ``Content_Range``."""
        changed = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in changed.items() if name not in without})


Respond = Callable[[int, Answer], Answer]
"""The number of a GET, counted from 1, and the right answer → the answer."""


@dataclass
class Store:
    """Serves one object as S3 does, but for what ``respond`` makes of an answer.

    :param respond: called in the thread of the request.
    :param content: the object.
    :param ranges: the ``Range`` header of each request, in order of arrival.
    :param conditions: its ``If-Match`` header.
    :param urls: the path and query of each request.
    """

    respond: Respond
    content: bytes = CONTENT
    ranges: list[str | None] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, asked: str | None, condition: str | None) -> Answer:
        with self.lock:
            self.ranges.append(asked)
            self.conditions.append(condition)
            self.urls.append(path)
            number = len(self.ranges)
        content = self.content
        right = Answer(200, {"ETag": '"one"', "Accept-Ranges": "bytes"}, content)
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", asked or ""):
            first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            right = replace(right, status=206, body=content[first : last + 1]).but(
                Content_Range=f"bytes {first}-{last}/{len(content)}"
            )
        return self.respond(number, right.but(Content_Length=str(len(right.body))))

    @contextmanager
    def serving(self) -> Iterator[str]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                # Not ``self.path``, in which http.server merges slashes at the beginning.
                path, headers = self.requestline.split()[1], self.headers
                answer = store.answer(path, headers.get("Range"), headers.get("If-Match"))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.header_ends:
                    header = b"".join(self._headers_buffer).decode()
                    before, end, _ = header.partition(answer.header_ends)
                    self.wfile.write(f"{before}{end}".encode())
                    self.close_connection = True
                    return
                self.end_headers()
                self.wfile.write(answer.body[: answer.at_most])
                self.close_connection = answer.at_most is not None or "Content-Length" not in answer.headers
                if answer.at_most is not None and answer.reset:
                    answer.then()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            def handle(self) -> None:
                with suppress(OSError, ValueError):  # the client has left, or was left
                    super().handle()

            def log_message(self, *args: object) -> None: ...

        with serving(Handler) as url:
            yield f"{url}/export.csv"


@dataclass
class Line:
    """A transfer from a store.

    :param fresh_urls: how often the API was polled for a URL.
    """

    folder: Path
    fresh_urls: int = 0

    def transfer(self, store: Store, options: SaveOptions, timeout: float = 5) -> Transferred:
        with store.serving() as url:

            def fresh_url() -> str:
                self.fresh_urls += 1
                return f"{url}?X-Amz-Signature={self.fresh_urls}"

            settings = Settings(
                "http://127.0.0.1",
                "https://auth.example",
                "id",
                "secret",
                timeout=timeout,
                retry=SHORT_PAUSES,
            )
            return transfer(fresh_url, ObjectStoragePath(self.file.as_uri()), settings, options, SLOW)

    @property
    def file(self) -> Path:
        return self.folder / "out.csv"

    def assert_whole(self) -> None:
        assert self.file.read_bytes() == CONTENT
        assert list(self.folder.iterdir()) == [self.file]

    def assert_nothing(self) -> None:
        assert list(self.folder.iterdir()) == []
