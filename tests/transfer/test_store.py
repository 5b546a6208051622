"""What a store may answer, and what is made of it: the same object, whole, or an error that says what is wrong."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_oleria.connection import Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.errors import (
    OleriaDestinationError,
    OleriaGivenUpError,
    OleriaObjectChangedError,
)
from airflow_provider_oleria.transfer.pipeline import Transferred, transfer

try:
    from airflow.sdk.io import attach
except ImportError:  # Airflow 2.11
    from airflow.io.store import attach

pytestmark = pytest.mark.usefixtures("short_pauses", "slow_lines")

CONTENT = b"id,name\n" + b"".join(b"%06d,somebody\n" % number for number in range(60_000))
ROWS = 60_000
PARTS = SaveOptions(parts=4, part_size=100_000)
ONE_STREAM = SaveOptions(parts=1)


@dataclass
class Answer:
    """An answer of the store, and how much of it arrives.

    :param at_most: how many bytes of the body are sent before the connection is reset.
    :param then: called before that.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    at_most: int | None = None
    then: Callable[[], object] = lambda: time.sleep(0.01)

    def but(self, *, without: tuple[str, ...] = (), **headers: str) -> Answer:
        """The same with other headers, named as in Python: ``Content_Range``."""
        changed = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in changed.items() if name not in without})


Says = Callable[[int, Answer], Answer]
"""The number of a GET, counted from 1, and the right answer → the answer."""


@dataclass
class Store:
    """Serves ``CONTENT`` as S3 does, but for what ``says`` makes of it.

    :param says: called in the thread of the request.
    :param ranges: what was asked for, in order.
    """

    says: Says
    ranges: list[str | None] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, asked: str | None) -> Answer:
        with self.lock:
            self.ranges.append(asked)
            self.urls.append(path)
            number = len(self.ranges)
        right = Answer(200, {"ETag": '"one"', "Accept-Ranges": "bytes"}, CONTENT)
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", asked or ""):
            first, last = int(found[1]), min(int(found[2] or len(CONTENT)), len(CONTENT) - 1)
            right = replace(right, status=206, body=CONTENT[first : last + 1]).but(
                Content_Range=f"bytes {first}-{last}/{len(CONTENT)}"
            )
        return self.says(number, right.but(Content_Length=str(len(right.body))))

    @contextmanager
    def serving(self) -> Iterator[str]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = store.answer(self.path, self.headers.get("Range"))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body[: answer.at_most])
                self.close_connection = answer.at_most is not None or "Content-Length" not in answer.headers
                if answer.at_most is not None:
                    # A reset, not an end: what has arrived may be lost on the way up.
                    answer.then()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            def handle(self) -> None:
                with suppress(OSError, ValueError):  # the client has left, or was left
                    super().handle()

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/export.csv"
        finally:
            server.shutdown()
            server.server_close()


@dataclass
class Line:
    """A transfer from a store.

    :param fresh_urls: how often the API was asked for a URL.
    """

    folder: Path
    fresh_urls: int = 0

    def transfer(self, store: Store, options: SaveOptions, timeout: float = 5) -> Transferred:
        with store.serving() as url:

            def fresh_url() -> str:
                self.fresh_urls += 1
                return f"{url}?X-Amz-Signature={self.fresh_urls}"

            settings = Settings(
                "https://api.example", "https://auth.example", "id", "secret", timeout=timeout
            )
            return transfer(fresh_url, ObjectStoragePath(self.file.as_uri()), settings, options)

    @property
    def file(self) -> Path:
        return self.folder / "out.csv"

    def assert_whole(self) -> None:
        assert self.file.read_bytes() == CONTENT
        assert list(self.folder.iterdir()) == [self.file]

    def assert_nothing(self) -> None:
        assert list(self.folder.iterdir()) == []


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def rightly(_: int, answer: Answer) -> Answer:
    return answer


either_way = pytest.mark.parametrize("options", [PARTS, ONE_STREAM], ids=["parts", "one stream"])


@either_way
def test_a_store_as_it_should_be(line: Line, options: SaveOptions) -> None:
    done = line.transfer(Store(rightly), options)

    line.assert_whole()
    assert done.row_count == ROWS


# -- another object, or another stretch of it ---------------------------------------------------------------------


def test_other_bytes_than_asked_for_are_not_taken(line: Line) -> None:
    def says(number: int, answer: Answer) -> Answer:
        wrong = answer.but(Content_Range=f"bytes 0-99999/{len(CONTENT)}")
        return wrong if answer.status == 206 else answer

    with pytest.raises(OleriaGivenUpError, match="other bytes than it was asked for"):
        line.transfer(Store(says), PARTS)
    line.assert_nothing()


def test_a_range_that_is_cut_short_is_continued(line: Line) -> None:
    def says(number: int, answer: Answer) -> Answer:
        if answer.status == 200 or number > 4:
            return answer
        first, _, total = re.split(r"[-/]", answer.headers["Content-Range"].removeprefix("bytes "))
        body = answer.body[:1000]
        return replace(answer, body=body).but(
            Content_Range=f"bytes {first}-{int(first) + 999}/{total}", Content_Length="1000"
        )

    line.transfer(Store(says), PARTS)
    line.assert_whole()


@pytest.mark.parametrize(
    "another",
    [
        lambda answer: answer.but(ETag='"two"'),
        lambda answer: answer.but(without=("ETag",)),
        lambda answer: answer.but(Content_Range=answer.headers["Content-Range"].replace("/", "/9")),
    ],
    ids=["another ETag", "no ETag any more", "another length"],
)
def test_a_part_of_another_object_is_never_spliced_in(
    line: Line, another: Callable[[Answer], Answer]
) -> None:
    def says(number: int, answer: Answer) -> Answer:
        return another(answer) if answer.status == 206 else answer

    with pytest.raises(OleriaObjectChangedError, match="was replaced in the store"):
        line.transfer(Store(says), PARTS)
    line.assert_nothing()


def test_an_object_that_changes_before_its_first_byte_is_not_cut_to_the_length_of_the_other(
    line: Line,
) -> None:
    def says(number: int, answer: Answer) -> Answer:
        shorter = replace(answer, body=CONTENT[:-14], at_most=0).but(Content_Length=str(len(CONTENT) - 14))
        return (shorter if number == 1 else answer).but(without=("ETag",))

    line.transfer(Store(says), ONE_STREAM)
    line.assert_whole()


def test_part_of_the_object_is_not_taken_for_all_of_it(line: Line) -> None:
    def says(number: int, answer: Answer) -> Answer:
        return replace(answer, status=206, body=CONTENT[:100]).but(
            Content_Length="100", Content_Range=f"bytes 0-99/{len(CONTENT)}"
        )

    with pytest.raises(OleriaGivenUpError, match="other bytes than it was asked for"):
        line.transfer(Store(says), PARTS)
    line.assert_nothing()


@pytest.mark.parametrize("etag", ['W/"one"', None], ids=["weak", "none"])
def test_without_a_strong_etag_it_comes_in_one_stream_and_starts_over_once(
    line: Line, etag: str | None
) -> None:
    def says(number: int, answer: Answer) -> Answer:
        answer = answer.but(ETag=etag) if etag else answer.but(without=("ETag",))
        return replace(answer, at_most=300_000) if number == 1 else answer

    store = Store(says)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert store.ranges == [None, None]


# -- how long it is -----------------------------------------------------------------------------------------------


@either_way
def test_a_body_shorter_than_announced_is_never_published(line: Line, options: SaveOptions) -> None:
    def says(number: int, answer: Answer) -> Answer:
        if answer.status == 200:
            return replace(answer.but(Content_Length=str(len(CONTENT) + 100)), at_most=len(CONTENT))
        return replace(answer, status=416, body=b"").but(Content_Length="0")

    with pytest.raises(OleriaObjectChangedError):
        line.transfer(Store(says), options)
    line.assert_nothing()


def chunked(answer: Answer, body: bytes, end: bytes) -> Answer:
    text = b"%x\r\n%s\r\n%s" % (len(body), body, end)
    return replace(answer, body=text).but(without=("Content-Length",), Transfer_Encoding="chunked")


def test_a_length_that_is_not_announced_is_told_by_the_last_chunk(line: Line) -> None:
    line.transfer(Store(lambda number, answer: chunked(answer, CONTENT, b"0\r\n\r\n")), PARTS)

    line.assert_whole()


def test_chunks_that_end_before_the_last_one_are_continued(line: Line) -> None:
    def says(number: int, answer: Answer) -> Answer:
        return chunked(answer, answer.body[:500_000], b"") if number == 1 else answer

    store = Store(says)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert store.ranges[0] is None
    assert len(store.ranges) == 2
    assert store.ranges[1] != "bytes=0-"


def test_a_file_whose_end_cannot_be_told_is_not_published(line: Line) -> None:
    with pytest.raises(OleriaGivenUpError, match="does not say how long the file is"):
        line.transfer(Store(lambda number, answer: answer.but(without=("Content-Length",))), PARTS)
    line.assert_nothing()


# -- breaks -------------------------------------------------------------------------------------------------------


@either_way
def test_a_line_that_is_reset_again_and_again_makes_progress(line: Line, options: SaveOptions) -> None:
    store = Store(lambda number, answer: replace(answer, at_most=40_000))
    line.transfer(store, options)

    line.assert_whole()
    assert len(store.ranges) > 20


def test_a_url_that_expires_under_all_parts_at_once_is_renewed_once(line: Line) -> None:
    all_there = threading.Barrier(PARTS.parts, timeout=10)

    def says(number: int, answer: Answer) -> Answer:
        if 2 < number <= 2 + PARTS.parts:
            all_there.wait()
            return Answer(403, {"Content-Length": "0"}, b"")
        return answer

    store = Store(says)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert line.fresh_urls == 2


def test_when_no_fresh_url_is_to_be_had_the_api_is_asked_once_for_all_parts(
    line: Line, tmp_path: Path
) -> None:
    all_there = threading.Barrier(PARTS.parts, timeout=10)
    asked = []

    def says(number: int, answer: Answer) -> Answer:
        if number <= 2:
            return answer
        all_there.wait()
        return Answer(403, {"Content-Length": "0"}, b"")

    with Store(says).serving() as url:

        def fresh_url() -> str:
            asked.append(None)
            if len(asked) > 1:
                raise OleriaGivenUpError("the API is down")
            return url

        settings = Settings("https://api.example", "https://auth.example", "id", "secret", timeout=5)
        with pytest.raises(OleriaGivenUpError, match="the API is down"):
            transfer(fresh_url, ObjectStoragePath(line.file.as_uri()), settings, PARTS)
    line.assert_nothing()
    assert len(asked) == 2


# -- nothing is left ----------------------------------------------------------------------------------------------


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], MemoryFileSystem]:
    """Have the store in memory end a transfer to it after so many bytes."""
    attach("memory", fs=(store := MemoryFileSystem()))
    plain = MemoryFileSystem.open

    def with_(ends: BaseException) -> MemoryFileSystem:
        def opened(self: MemoryFileSystem, *args: Any, **kwargs: Any) -> Any:
            file = plain(self, *args, **kwargs)
            write = file.write

            def full(data: bytes) -> int:
                if file.tell() > 30_000:
                    raise ends
                return int(write(data))

            file.write = full
            return file

        monkeypatch.setattr(MemoryFileSystem, "open", opened)
        return store

    return with_


@either_way
@pytest.mark.parametrize("ends", [OSError(28, "No space left on device"), SystemExit("killed")])
def test_after_an_end_in_the_middle_neither_threads_nor_files_are_left(
    ending: Callable[[BaseException], MemoryFileSystem], options: SaveOptions, ends: BaseException
) -> None:
    """Although the store has fallen silent, which is given a minute."""
    store = ending(ends)
    released = threading.Event()

    def says(number: int, answer: Answer) -> Answer:
        return replace(answer, at_most=50_000, then=lambda: released.wait(60)) if number > 2 else answer

    with Store(says).serving() as url:
        settings = Settings("https://api.example", "https://auth.example", "id", "secret", timeout=60)
        with pytest.raises(type(ends) if isinstance(ends, SystemExit) else OleriaDestinationError):
            transfer(lambda: url, ObjectStoragePath("memory://lake/out.csv"), settings, options)

        assert store.find("memory://") == []
        deadline = time.monotonic() + 30
        while any(thread.name.startswith("oleria-") for thread in threading.enumerate()):
            assert time.monotonic() < deadline, "a thread is left"
            time.sleep(0.01)
        released.set()
