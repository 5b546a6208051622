"""Presigned URL → the object's bytes, in order and whole.

In ranges over several connections where that is possible and one is not fast enough, taken up at the next missing byte
wherever it breaks, and only from the same object: its first ETag is asked for ever after.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from airflow_provider_oleria.connection import CONNECT_TIMEOUT, Settings, is_loopback
from airflow_provider_oleria.errors import (
    OleriaObjectChangedError,
    OleriaOutageError,
    OleriaTransferError,
    OleriaUrlExpiredError,
)
from airflow_provider_oleria.faults import fault, request_fault
from airflow_provider_oleria.retry import Patience, retry_after

log = logging.getLogger(__name__)

_CHUNK: Final = 512 * 1024
"""Bytes to read at a time."""

_FAST: Final = 250_000_000
"""Bytes a second of one connection from which on more of them cost more processor time than they save waiting."""

_STRETCH: Final = 32 * 1024 * 1024
"""Bytes over which that is measured."""

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

# What S3 calls a URL, or the credentials behind it, that is past its time; the first comes with any refusal.
_EXPIRED: Final = ("AccessDenied", "ExpiredToken", "RequestExpired", "SignatureDoesNotMatch")


class Source:
    """The object behind a download's presigned URL. A context manager; :meth:`chunks` may be read once.

    :param fresh_url: asks the API for a presigned URL; asked again, once, when one has expired.
    :param settings: for limits and certificates.
    :param parts: how many ranges may be in flight; with 1 the object comes in one stream.
    :param part_size: bytes of each range.
    """

    def __init__(
        self, fresh_url: Callable[[], str], settings: Settings, *, parts: int, part_size: int
    ) -> None:
        self._link = _Link(fresh_url)
        self._settings = settings
        self._parts = parts
        self._part_size = part_size
        self._session = _session(connections=parts)
        self._stop = threading.Event()
        self._open: set[requests.Response] = set()
        self._reading: Generator[bytes, None, None]
        self._etag: str | None = None
        self.size: int | None = None
        self.encoding = ""

    def __enter__(self) -> Self:
        """Open it with one plain GET: all that a small file needs."""
        self._first = self._opened(0, None)
        headers = self._first.headers
        self.size = _number(headers.get("Content-Length"))
        self.encoding = headers.get("Content-Encoding", "").strip().lower()
        # Only a strong ETag says that two answers are of the same bytes.
        self._etag = etag if (etag := headers.get("ETag", "")).startswith('"') else None
        self._reading = self._stream(0, self.size, self._first, _CHUNK)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let go of the store: no connection stays open, and whoever still reads from one ends."""
        self._stop.set()
        for response in tuple(self._open):
            with suppress(Exception):  # urllib3 can from 2.3 on; before, a reader ends with its next bytes
                response.raw.shutdown()
        self._reading.close()
        self._close(self._first)
        self._session.close()

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes as they are stored.

        :raises OleriaObjectChangedError: it was replaced meanwhile: what came so far is of no use.
        :raises OleriaGivenUpError: it cannot be had, however often it was tried.
        """
        if self.size is not None and self._may_come_in_parts(self.size):
            self._reading = self._widened(self._reading, self.size)
        return self._reading

    def _may_come_in_parts(self, size: int) -> bool:
        ranges = self._first.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        return ranges and self._etag is not None and self._parts > 1 and size > 2 * self._part_size

    def _widened(self, stream: Generator[bytes, None, None], size: int) -> Generator[bytes, None, None]:
        """``stream`` while it is fast, and what is left of the object in parts once it is not."""
        at, pace = 0, _Pace()
        with closing(stream):
            for chunk in pace.measured(stream):
                at += len(chunk)
                yield chunk
                if pace.is_slow and size - at > self._part_size:
                    break
            else:
                return
            answer = self._opened(at, at + self._part_size)
            if answer.status_code != 206:
                # It announces ranges, but does not serve them: the first answer is good for the whole object.
                self._close(answer)
                yield from stream
                return
        yield from self._in_parts(at, size, answer)

    def _in_parts(self, at: int, size: int, answer: requests.Response) -> Generator[bytes, None, None]:
        # As many buffers as parts in flight, used over and over: what is held is never more, however slow the
        # destination is. Not on the heap, which would scatter and keep it.
        buffers = deque(mmap(-1, self._part_size) for _ in range(self._parts))
        starts = iter(range(at, size, self._part_size))
        pending: deque[Future[mmap]] = deque()
        pool = ThreadPoolExecutor(self._parts, thread_name_prefix="oleria-part")

        def submit_next(answer: requests.Response | None = None) -> None:
            if (start := next(starts, None)) is not None:
                end = min(start + self._part_size, size)
                pending.append(pool.submit(self._part, buffers.popleft(), start, end, answer))

        try:
            submit_next(answer)
            for _ in range(1, self._parts):
                submit_next()
            while pending:
                part = pending.popleft().result()
                left = part.tell()
                part.seek(0)
                while left and (chunk := part.read(min(left, _CHUNK))):
                    left -= len(chunk)
                    yield chunk
                buffers.append(part)
                submit_next()
        finally:
            self._stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _part(self, buffer: mmap, start: int, end: int, answer: requests.Response | None) -> mmap:
        buffer.seek(0)
        for chunk in self._stream(start, end, answer, _CHUNK // 4):  # many at once, on slow lines
            buffer.write(chunk)
            if self._stop.is_set():
                break  # nobody waits for it any longer
        return buffer

    def _stream(
        self, start: int, end: int | None, response: requests.Response | None, at_most: int
    ) -> Generator[bytes, None, None]:
        """The bytes from ``start`` to before ``end``.

        :param response: an answer that begins at ``start``, where there is one already.
        :param at_most: bytes to read at a time.
        """
        at, attempts = start, _Attempts(self._stop)
        while True:
            try:
                response = response or self._request(at, end)
                for chunk in _body(response, at, end, at_most):
                    at += len(chunk)
                    attempts.progressed()
                    yield chunk
            except OleriaOutageError as problem:
                if at and self._etag is None:
                    raise OleriaObjectChangedError(
                        f"{problem}; the store gives no strong ETag, so that it cannot be taken up where it broke"
                    ) from problem
                attempts.failed(problem, f"at byte {at:,}")
            else:
                return
            finally:
                if response is not None:
                    self._close(response)
                response = None

    def _opened(self, start: int, end: int | None) -> requests.Response:
        attempts = _Attempts(self._stop)
        while True:
            try:
                return self._request(start, end)
            except OleriaOutageError as problem:
                attempts.failed(problem, f"at byte {start:,}")

    def _request(self, start: int, end: int | None) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start or self._etag is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if self._etag is not None:
            headers["If-Match"] = self._etag
        url = self._link.url()
        problem: OleriaOutageError
        try:
            response = self._session.get(
                url.value,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                verify=self._settings.verify,
            )
        except requests.RequestException as error:
            problem = request_fault(error, url.value)
        else:
            self._open.add(response)
            try:
                self._check(response, start, url)
            except BaseException:
                self._close(response)
                raise
            return response
        # Raised here, not above: requests' own text would follow it into the traceback, whole URL included.
        raise problem

    def _check(self, response: requests.Response, start: int, url: _Url) -> None:
        status, headers = response.status_code, response.headers
        if status not in (200, 206, 412, 416):
            problem = _refusal(response)
            if isinstance(problem, OleriaUrlExpiredError):
                self._link.refused(url)
            raise problem
        size = _number(headers.get("Content-Length"))
        if status == 206:
            sent = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            if sent is None or "Range" not in response.request.headers or int(sent[1]) != start:
                raise OleriaTransferError("the store answered with other bytes than it was asked for")
            size = self.size if sent[2] == "*" else int(sent[2])
        elif status == 200 and size is None and headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise OleriaTransferError(
                "the store does not say how long the file is, so that its end cannot be told"
            )
        another = self._etag is not None and headers.get("ETag") != self._etag
        if status in (412, 416) or another or (self.size is not None and size != self.size):
            raise OleriaObjectChangedError("the export was replaced in the store while it was being fetched")

    def _close(self, response: requests.Response) -> None:
        response.close()
        self._open.discard(response)


class _Pace:
    """Whether a connection keeps its reader waiting."""

    def __init__(self) -> None:
        self.is_slow = False

    def measured(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """The stream's chunks; the time their user takes for them does not count.

        :param stream: of one connection.
        """
        received, waited = 0, 0.0
        asked = time.monotonic()
        for chunk in stream:
            waited += time.monotonic() - asked
            received += len(chunk)
            self.is_slow = waited > _STRETCH / _FAST
            if received > _STRETCH:
                received, waited = 0, 0.0
            yield chunk
            asked = time.monotonic()


@dataclass(frozen=True)
class _Url:
    """A presigned URL, which is a credential: not shown among a frame's variables."""

    value: str = field(repr=False)


class _Link:
    """The presigned URL, renewed once per expiry however many connections find it expired."""

    def __init__(self, fresh_url: Callable[[], str]) -> None:
        self._fresh_url = fresh_url
        self._lock = threading.Lock()
        self._url: _Url | None = None
        self._problem: Exception | None = None

    def url(self) -> _Url:
        with self._lock:
            if (
                self._problem is not None
            ):  # patience was had with the API once, and is not for each connection anew
                raise self._problem
            if self._url is None:
                try:
                    url = _Url(self._fresh_url())
                except Exception as problem:
                    self._problem = problem
                    raise
                if not url.value.startswith("https://") and not is_loopback(url.value):
                    raise OleriaTransferError(
                        "the presigned URL is not https: a credential is not sent in plain text"
                    )
                self._url = url
            return self._url

    def refused(self, url: _Url) -> None:
        with self._lock:
            if self._url == url:
                self._url = None


class _Attempts:
    """How long to go on with one stretch of bytes: progress starts the count anew."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.progressed()

    def progressed(self) -> None:
        self._patience = Patience()
        self._renewed = False

    def failed(self, problem: OleriaOutageError, where: str) -> None:
        """Return when it is time for the next attempt.

        :raises OleriaGivenUpError: there is no use in another one.
        """
        if isinstance(problem, OleriaUrlExpiredError) and not self._renewed:
            self._renewed = True
            return
        pause = self._patience.pause_after(problem)
        log.warning("The transfer broke %s: %s. Taking it up there in %.1f s.", where, problem, pause)
        if self._stop.wait(pause):
            raise problem


def _body(response: requests.Response, at: int, end: int | None, at_most: int) -> Iterator[bytes]:
    """The bytes of one answer from ``at`` to before ``end``.

    :raises OleriaOutageError: they did not all come.
    """
    # A store that ignores ranges answers with the whole object.
    skip = at if response.status_code == 200 else 0
    missing = None if end is None else end - at
    # What a read has got when the line is reset under it is lost: the first ones are small, so that any answer counts.
    amount = _CHUNK // 32
    problem: OleriaOutageError | None = None
    try:
        while missing is None or missing > 0:
            amount = min(2 * amount, at_most)
            chunk = response.raw.read(
                amount if missing is None else min(amount, skip + missing), decode_content=False
            )
            if not chunk:
                break
            if skip:
                skip, chunk = max(0, skip - len(chunk)), chunk[skip:]
            if chunk:
                missing = None if missing is None else missing - len(chunk)
                yield chunk
    except (HTTPError, OSError) as error:
        problem = fault(error, response.url, arrived=True)
    if problem is not None:
        raise problem
    if missing:
        raise OleriaTransferError(f"the answer ended {missing:,} bytes before its end")


def _session(connections: int) -> requests.Session:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=connections))
    session.mount("https://", HTTPAdapter(pool_maxsize=connections))
    # No credentials but the URL: S3 refuses a request with two kinds, and requests would look into ~/.netrc.
    session.auth = lambda request: request
    return session


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _refusal(response: requests.Response) -> OleriaTransferError:
    body = b""
    with suppress(requests.RequestException):
        body = next(response.iter_content(4096), b"")
    said = f"the store answered {response.status_code} {error_code(body)}".rstrip()
    if is_expired(response.status_code, body):
        return OleriaUrlExpiredError(f"{said}: the presigned URL is not accepted (any more)")
    problem = OleriaTransferError(said)
    problem.retry_after = retry_after(response.headers, time.time())
    return problem


def error_code(body: bytes) -> str:
    """What the store calls its refusal: S3 explains itself in XML, the rest of which repeats the request."""
    return next(iter(re.findall(r"<Code>(\w+)</Code>", body.decode("utf-8", "replace"))), "")


def is_expired(status: int, body: bytes) -> bool:
    """Whether the store refuses the presigned URL as such, so that a fresh one may help.

    :param status: of its answer.
    :param body: the beginning of its answer.
    """
    return status == 403 or (status == 400 and error_code(body) in _EXPIRED)
