"""The object behind a presigned URL, one stretch of bytes at a time: each whole, and all of the same object.

A stretch that breaks is taken up at its next missing byte. The object's first ETag is asked for ever after.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Final

import requests

from airflow_provider_oleria.connection.settings import CONNECT_TIMEOUT, RetryPolicy, Settings
from airflow_provider_oleria.exceptions import (
    OleriaError,
    OleriaObjectChangedError,
    OleriaOutageError,
    OleriaTransferError,
    OleriaUrlExpiredError,
)
from airflow_provider_oleria.net.backoff import RetryBudget
from airflow_provider_oleria.net.failures import REQUESTS_ERRORS, requests_failure
from airflow_provider_oleria.net.route import find_route
from airflow_provider_oleria.net.session import RouteAdapter
from airflow_provider_oleria.transfer.presigned import Link, PresignedUrl, refusal

log = logging.getLogger(__name__)

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

_FIRST_READ: Final = 32 * 1024
"""Bytes. What a read has got when the line is reset under it is lost: the first ones are small, so that any answer
counts."""


class StoredObject:
    """An object in the store, for as many connections as are wanted at once.

    ``size`` and ``encoding`` are what the first answer says of it, ``serves_ranges`` whether parts of it can be had.

    :param fresh_url: asks the API for a presigned URL; asked again, once, when one has expired.
    :param settings: for limits and certificates.
    :param connections: how many may be open at once.
    """

    def __init__(self, fresh_url: Callable[[], str], settings: Settings, connections: int) -> None:
        self._link = Link(fresh_url)
        self._settings = settings
        self._session = _session(settings, connections)
        self._open: set[requests.Response] = set()
        self._etag: str | None = None
        self.given_up = threading.Event()
        self.size: int | None = None
        self.encoding = ""
        self.serves_ranges = False

    def open(self) -> requests.Response:
        """One plain GET of the whole.

        :raises OleriaRetriesExhaustedError: it cannot be had, however often it was tried.
        """
        answer = self.answer(0, None)
        headers = answer.headers
        self.size = _number(headers.get("Content-Length"))
        self.encoding = headers.get("Content-Encoding", "").strip().lower()
        # Only a strong ETag says that two answers are of the same bytes.
        self._etag = etag if (etag := headers.get("ETag", "")).startswith('"') else None
        ranges = headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self.serves_ranges = ranges and self._etag is not None
        return answer

    def close(self) -> None:
        """Let go of the store: no connection stays open, and whoever still reads from one ends."""
        self.given_up.set()
        for answer in tuple(self._open):
            with suppress(Exception):  # urllib3 can from 2.3 on; before, a reader ends with its next bytes
                answer.raw.shutdown()
        self._session.close()

    def answer(self, start: int, end: int | None) -> requests.Response:
        """The store's answer to a request for the bytes from ``start`` to before ``end``.

        :raises OleriaObjectChangedError: the object is another one.
        :raises OleriaRetriesExhaustedError: there is none, however often it was tried.
        """
        attempts = _Attempts(self._settings.retry, self.given_up)
        while True:
            try:
                return self._request(start, end)
            except OleriaOutageError as problem:
                attempts.failed(problem, f"at byte {start:,}")

    def stream(
        self, start: int, end: int | None, response: requests.Response | None, at_most: int
    ) -> Generator[bytes, None, None]:
        """The bytes from ``start`` to before ``end``.

        :param response: an answer that begins at ``start``, where there is one already.
        :param at_most: bytes to read at a time.
        :raises OleriaObjectChangedError: the object is another one, or cannot be told from another.
        :raises OleriaRetriesExhaustedError: the rest cannot be had, however often it was tried.
        """
        at, attempts = start, _Attempts(self._settings.retry, self.given_up)
        while True:
            try:
                response = response or self._request(at, end)
                for chunk in _body(response, self._settings, at, end, at_most):
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
                    self.let_go(response)
                response = None

    def let_go(self, response: requests.Response) -> None:
        """Read no more of an answer."""
        response.close()
        self._open.discard(response)

    def _request(self, start: int, end: int | None) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start or self._etag is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if self._etag is not None:
            headers["If-Match"] = self._etag
        url = self._link.url()
        route = find_route(url.value, self._settings)
        problem: OleriaError
        try:
            request = self._session.prepare_request(requests.Request("GET", url.value, headers=headers))
            request.url = url.value  # as it was signed: requests normalizes it
            response = self._session.send(
                request, stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT, self._settings.timeout)
            )
        except REQUESTS_ERRORS as error:
            problem = requests_failure(error, route)
        else:
            self._open.add(response)
            try:
                self._check(response, start, url)
            except BaseException:
                self.let_go(response)
                raise
            return response
        # Raised here, not above: requests' own text would follow it into the traceback, whole URL included.
        raise problem

    def _check(self, response: requests.Response, start: int, url: PresignedUrl) -> None:
        status, headers = response.status_code, response.headers
        if status not in (200, 206, 412, 416):
            problem = refusal(response)
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


class _Attempts:
    """How long to go on with one stretch of bytes: progress starts the count anew."""

    def __init__(self, policy: RetryPolicy, stop: threading.Event) -> None:
        self._policy = policy
        self._stop = stop
        self.progressed()

    def progressed(self) -> None:
        self._patience = RetryBudget(self._policy)
        self._renewed = False

    def failed(self, problem: OleriaOutageError, where: str) -> None:
        """Return when it is time for the next attempt.

        :raises OleriaRetriesExhaustedError: there is no use in another one.
        """
        if isinstance(problem, OleriaUrlExpiredError) and not self._renewed:
            self._renewed = True
            return
        pause = self._patience.next_delay(problem)
        log.warning("The transfer broke %s: %s. Taking it up there in %.1f s.", where, problem, pause)
        if self._stop.wait(pause):
            raise problem


def _body(
    response: requests.Response, settings: Settings, at: int, end: int | None, at_most: int
) -> Iterator[bytes]:
    """The bytes of one answer from ``at`` to before ``end``.

    :raises OleriaOutageError: they did not all come.
    """
    # A store that ignores ranges answers with the whole object.
    skip = at if response.status_code == 200 else 0
    missing = None if end is None else end - at
    amount = _FIRST_READ // 2
    problem: OleriaError | None = None
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
    except REQUESTS_ERRORS as error:
        problem = requests_failure(error, find_route(response.url, settings))
    if problem is not None:
        raise problem
    if missing:
        raise OleriaTransferError(f"the answer ended {missing:,} bytes before its end")


def _session(settings: Settings, connections: int) -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, RouteAdapter(settings, pool_maxsize=connections))
    # No credentials but the URL: S3 refuses a request with two kinds, and requests would look into ~/.netrc.
    session.auth = lambda request: request
    return session


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
