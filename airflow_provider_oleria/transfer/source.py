"""Presigned URL → the object's bytes, in order and whole.

In ranges over several connections where that is possible, taken up at the next missing byte wherever it breaks, and
only from the same object: its first ETag is asked for ever after.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from mmap import mmap
from typing import Final, Self

import requests
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

_CHUNK: Final = 256 * 1024

_PROBE: Final = 1024 * 1024
"""Bytes over which the speed of the one stream is looked at."""

FAST = 200e6
"""Bytes per second from which on one connection is enough: more of them would only take turns at the processor."""

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
        self._stop = threading.Event()
        self._threads = threading.local()
        self._etag: str | None = None
        self.size: int | None = None
        self.encoding = ""

    def __enter__(self) -> Self:
        """Open it with one plain GET: all that a small file needs."""
        self._first = self._opened(0, None)
        headers = self._first.headers
        etag, length = headers.get("ETag", ""), headers.get("Content-Length", "")
        self.size = int(length) if length.isdecimal() else None
        self.encoding = headers.get("Content-Encoding", "").strip().lower()
        # Only a strong ETag says that two answers are of the same bytes.
        self._etag = etag if etag.startswith('"') else None
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._first.close()

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes as they are stored.

        It comes in one stream for as long as one connection is fast, and in parts, several at a time, from where it
        turns out slow.

        :raises OleriaObjectChangedError: it was replaced meanwhile: what came so far is of no use.
        :raises OleriaGivenUpError: it cannot be had, however often it was tried.
        """
        stream = self._stream(0, self.size, self._first)
        if self.size is None or not self._comes_in_parts(self.size):
            yield from stream
            return
        at, probed, since = 0, 0, time.monotonic()
        for chunk in stream:
            yield chunk
            at += len(chunk)
            if at - probed < _PROBE:
                continue
            now = time.monotonic()
            if at - probed < FAST * (now - since) and self.size - at > self._part_size:
                break
            probed, since = at, now
        else:
            return
        first_part = self._opened(at, at + self._part_size)
        if first_part.status_code == 206:
            stream.close()
            yield from self._in_parts(at, self.size, first_part)
        else:
            # It announces ranges, but does not serve them: the first answer is good for the whole object.
            first_part.close()
            yield from stream

    def _comes_in_parts(self, size: int) -> bool:
        ranges = self._first.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        return ranges and self._etag is not None and self._parts > 1 and size > 2 * self._part_size

    def _in_parts(self, start: int, size: int, first_part: requests.Response) -> Iterator[bytes]:
        opened = {start: first_part}
        starts = iter(range(start, size, self._part_size))
        pending: deque[Future[mmap]] = deque()
        pool = ThreadPoolExecutor(self._parts, thread_name_prefix="oleria-part")

        def submit_next() -> None:
            if (at := next(starts, None)) is not None:
                end = min(at + self._part_size, size)
                pending.append(pool.submit(self._part, at, end, opened.pop(at, None)))

        try:
            for _ in range(self._parts):
                submit_next()
            while pending:
                with pending.popleft().result() as part:
                    while chunk := part.read(_CHUNK):
                        yield chunk
                # Only now: what is held is never more than `parts` parts, however slow the destination is.
                submit_next()
        finally:
            self._stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _part(self, start: int, end: int, response: requests.Response | None) -> mmap:
        # Memory of its own, which goes back to the system when it is closed: the heap would keep and scatter it.
        part = mmap(-1, end - start)
        for chunk in self._stream(start, end, response):
            part.write(chunk)
        part.seek(0)
        return part

    def _stream(
        self, start: int, end: int | None, response: requests.Response | None = None
    ) -> Generator[bytes, None, None]:
        """The bytes from ``start`` to before ``end``.

        :param response: an answer that begins at ``start``, where there is one already.
        """
        at, attempts = start, _Attempts(self._stop)
        while True:
            try:
                response = response or self._request(at, end)
                for chunk in _body(response, at, end):
                    at += len(chunk)
                    attempts.progressed()
                    yield chunk
            except OleriaOutageError as problem:
                if at and self._etag is None:
                    raise OleriaObjectChangedError(
                        f"{problem}; the store gives no ETag, so that it cannot be taken up where it broke"
                    ) from problem
                attempts.failed(problem, f"at byte {at:,}")
            else:
                return
            finally:
                if response is not None:
                    response.close()
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
            response = self._session().get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                verify=self._settings.verify,
            )
        except requests.RequestException as error:
            problem = request_fault(error, url)
        else:
            return self._checked(response, start, url)
        # Raised here, not above: requests' own text would follow it into the traceback, whole URL included.
        raise problem

    def _checked(self, response: requests.Response, start: int, url: str) -> requests.Response:
        status, headers = response.status_code, response.headers
        if status in (412, 416) or (
            status in (200, 206) and self._etag is not None and headers.get("ETag", self._etag) != self._etag
        ):
            response.close()
            raise OleriaObjectChangedError("the export was replaced in the store while it was being fetched")
        if status == 200 or (
            status == 206 and headers.get("Content-Range", "").startswith(f"bytes {start}-")
        ):
            return response
        problem = _refusal(response)
        if isinstance(problem, OleriaUrlExpiredError):
            self._link.refused(url)
        response.close()
        raise problem

    def _session(self) -> requests.Session:
        """One for each thread: it keeps its connection from part to part."""
        if not hasattr(self._threads, "session"):
            session = requests.Session()
            # No credentials but the URL: S3 refuses a request with two kinds, and requests would look into ~/.netrc.
            session.auth = lambda request: request
            self._threads.session = session
        return self._threads.session  # type: ignore[no-any-return]  # thread-locals are untyped


class _Link:
    """The presigned URL, renewed once per expiry however many connections find it expired."""

    def __init__(self, fresh_url: Callable[[], str]) -> None:
        self._fresh_url = fresh_url
        self._lock = threading.Lock()
        self._url: str | None = None

    def url(self) -> str:
        with self._lock:
            if self._url is None:
                url = self._fresh_url()
                if not url.startswith("https://") and not is_loopback(url):
                    raise OleriaTransferError(
                        "the presigned URL is not https: a credential is not sent in plain text"
                    )
                self._url = url
            return self._url

    def refused(self, url: str) -> None:
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


def _body(response: requests.Response, at: int, end: int | None) -> Iterator[bytes]:
    """The bytes of one answer from ``at`` to before ``end``.

    :raises OleriaOutageError: they did not all come.
    """
    # A store that ignores ranges answers with the whole object.
    skip = at if response.status_code == 200 else 0
    missing = None if end is None else end - at
    problem: OleriaOutageError | None = None
    try:
        while missing is None or missing > 0:
            chunk = response.raw.read(
                _CHUNK if missing is None else min(_CHUNK, skip + missing), decode_content=False
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


def _refusal(response: requests.Response) -> OleriaTransferError:
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
