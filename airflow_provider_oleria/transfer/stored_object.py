"""The object behind a presigned URL, read in ranges: each complete, and all from the same object.

A transfer that breaks resumes at the next missing byte. Every later request requires the ETag of the first response.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Final
from weakref import WeakSet

import requests

from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.exceptions import (
    OleriaError,
    OleriaObjectChangedError,
    OleriaOutageError,
    OleriaTransferError,
    OleriaUrlExpiredError,
)
from airflow_provider_oleria.net.addresses import Resolve, check_presigned_url, checked, resolve
from airflow_provider_oleria.net.backoff import RetryBudget
from airflow_provider_oleria.net.failures import REQUESTS_ERRORS, requests_failure
from airflow_provider_oleria.net.read_limit import LOWEST_RATE, RATE_WINDOW, ReadLimit, read_limit
from airflow_provider_oleria.net.route import find_route
from airflow_provider_oleria.net.session import RouteAdapter
from airflow_provider_oleria.transfer.presigned import Link, PresignedUrl, refusal

log = logging.getLogger(__name__)

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)")

_FIRST_READ: Final = 32 * 1024
"""Bytes of the first read of a response. A reset connection loses the read in progress: small first reads make progress
on any connection."""

_PROGRESS: Final = int(LOWEST_RATE * RATE_WINDOW)
"""Bytes after which the retries of a range are counted from the beginning."""


class StoredObject:
    """An object in the store.

    ``size`` (bytes), ``encoding`` and ``serves_ranges`` are those of the first response. ``stopped`` is set when no
    caller reads any longer.

    :param fresh_url: requests a presigned URL from the API; called again when one has expired.
    :param settings: timeouts, retries and certificates.
    :param connections: connections that may be open at once.
    :param find_addresses: resolves the store's name.
    :param rate_window: seconds over which the lowest rate of a response is measured.
    """

    def __init__(
        self,
        fresh_url: Callable[[], str],
        settings: Settings,
        connections: int,
        find_addresses: Resolve = resolve,
        rate_window: float = RATE_WINDOW,
    ) -> None:
        self._link = Link(fresh_url, lambda url: check_presigned_url(url, settings))
        self._settings = settings
        self._rate_window = rate_window
        self._adapter = RouteAdapter(settings, checked(find_addresses, settings), pool_maxsize=connections)
        # Those of responses that are closed are gone.
        self._limits: WeakSet[ReadLimit] = WeakSet()
        self._lock = threading.Lock()  # a WeakSet cannot be read while something is added
        self._etag: str | None = None
        self.stopped = threading.Event()
        self.size: int | None = None
        self.encoding = ""
        self.serves_ranges = False

    def open(self) -> requests.Response:
        """Send one plain GET for the whole object.

        :raises OleriaRetriesExhaustedError: if no attempt was successful.
        """
        response = self.request(0, None)
        headers = response.headers
        self.size = _number(headers.get("Content-Length"))
        self.encoding = headers.get("Content-Encoding", "").strip().lower()
        # Only a strong ETag identifies the same bytes.
        self._etag = etag if (etag := headers.get("ETag", "")).startswith('"') else None
        ranges = headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self.serves_ranges = ranges and self._etag is not None
        return response

    def close(self) -> None:
        """Close all connections, also those where another thread waits for a response or reads it."""
        self.stopped.set()
        with self._lock:
            limits = tuple(self._limits)
        for limit in limits:
            limit.stop()
        self._adapter.close()

    def request(self, start: int, end: int | None) -> requests.Response:
        """Request the bytes from ``start`` to before ``end``, and retry if that fails.

        :raises OleriaObjectChangedError: if the object was replaced.
        :raises OleriaRetriesExhaustedError: if no attempt was successful.
        """
        attempts = _Attempts(self._settings.retry, self.stopped)
        while True:
            try:
                return self._request(start, end)
            except OleriaOutageError as problem:
                attempts.failed(problem, f"at byte {start:,}")

    def stream(
        self, start: int, end: int | None, response: requests.Response | None, at_most: int
    ) -> Generator[bytes, None, None]:
        """Read the bytes from ``start`` to before ``end``, and resume if the connection breaks.

        :param response: a response that begins at ``start``, if there is one already.
        :param at_most: bytes of one read.
        :raises OleriaObjectChangedError: if the object was replaced, or the store gives no ETag to detect that.
        :raises OleriaRetriesExhaustedError: if the rest could not be read in any attempt.
        """
        at, attempts = start, _Attempts(self._settings.retry, self.stopped)
        while True:
            try:
                response = response or self._request(at, end)
                for chunk in _body(response, self._settings, at, end, at_most):
                    at += len(chunk)
                    attempts.progressed(len(chunk))
                    yield chunk
            except OleriaOutageError as problem:
                if at and self._etag is None:
                    raise OleriaObjectChangedError(
                        f"{problem}; the store sends no strong ETag, so the transfer cannot resume where it broke"
                    ) from problem
                attempts.failed(problem, f"at byte {at:,}")
            else:
                return
            finally:
                if response is not None:
                    response.close()
                response = None

    def _request(self, start: int, end: int | None) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start or self._etag is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if self._etag is not None:
            headers["If-Match"] = self._etag
        url = self._link.url()
        route = find_route(url.value, self._settings)
        limit = ReadLimit(self._settings.total_timeout, LOWEST_RATE, self._rate_window)
        with self._lock:
            self._limits.add(limit)
        if self.stopped.is_set():
            raise OleriaTransferError("the transfer has ended")
        problem: OleriaError
        try:
            # No session: it adds credentials from ~/.netrc, and S3 refuses a request with two; and it reads the body of
            # a redirect, although it does not follow it.
            request = requests.Request("GET", url.value, headers=headers).prepare()
            request.url = url.value  # as it was signed: requests normalizes it
            with read_limit(limit):
                response = self._adapter.send(
                    request,
                    stream=True,
                    timeout=(self._settings.connect_timeout, self._settings.timeout),
                )
        except REQUESTS_ERRORS as error:
            problem = requests_failure(error, route)
        else:
            try:
                self._check(response, start, url)
            except BaseException:
                response.close()
                raise
            limit.lift()  # the body has its time, as long as it arrives
            return response
        # Raised outside the except block: requests' error holds the URL and must not become the context of this one.
        raise problem

    def _check(self, response: requests.Response, start: int, url: PresignedUrl) -> None:
        status, headers = response.status_code, response.headers
        if status not in (200, 206, 412, 416):
            problem = refusal(response)
            if isinstance(problem, OleriaUrlExpiredError):
                self._link.expire(url)
            raise problem
        size = _number(headers.get("Content-Length"))
        if status == 206:
            sent = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            if sent is None or "Range" not in response.request.headers or int(sent[1]) != start:
                raise OleriaTransferError("the store sent other bytes than requested")
            size = self.size if sent[2] == "*" else int(sent[2])
        elif status == 200 and size is None and headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise OleriaTransferError(
                "the store does not send the file's length, so its end cannot be recognised"
            )
        is_other = self._etag is not None and headers.get("ETag") != self._etag
        if status in (412, 416) or is_other or (self.size is not None and size != self.size):
            raise OleriaObjectChangedError("the export was replaced in the store during the transfer")


class _Attempts:
    """The retry budget of one range: progress renews it."""

    def __init__(self, policy: RetryPolicy, stop: threading.Event) -> None:
        self._policy = policy
        self._stop = stop
        self._budget = RetryBudget(policy)
        self._received = 0
        self._renewed = False

    def progressed(self, received: int) -> None:
        """Renew the budget, if more has been received since the last time than a line too slow brings."""
        self._received += received
        if self._received >= _PROGRESS:
            self._budget, self._received, self._renewed = RetryBudget(self._policy), 0, False

    def failed(self, problem: OleriaOutageError, where: str) -> None:
        """Wait until the next attempt may start.

        :raises OleriaRetriesExhaustedError: if no attempt is left.
        :raises OleriaOutageError: the problem, if the transfer has ended.
        """
        if self._stop.is_set():
            raise problem
        if isinstance(problem, OleriaUrlExpiredError) and not self._renewed:
            self._renewed = True
            return
        delay = self._budget.next_delay(problem)
        log.warning("The transfer broke %s: %s. Resuming there in %.1f s.", where, problem, delay)
        if self._stop.wait(delay):
            raise problem


def _body(
    response: requests.Response, settings: Settings, at: int, end: int | None, at_most: int
) -> Iterator[bytes]:
    """Read the bytes of one response from ``at`` to before ``end``.

    :raises OleriaOutageError: if not all of them arrived.
    """
    # A store that ignores ranges sends the whole object.
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
        raise OleriaTransferError(f"the response ended {missing:,} bytes too early")


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else None
