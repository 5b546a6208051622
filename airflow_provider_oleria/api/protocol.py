"""The calls of the Oleria API: their requests, and what follows each response. No I/O.

Each flow is a generator: it yields a step (:class:`RateLimitDelay`, :class:`CloseGate`, :class:`Request`,
:class:`Sleep`, :class:`ReloadConnection`), receives its result or an ``OleriaError``, and returns its own result. The
drivers in ``client.py`` (sync) and ``async_client.py`` run the same flows.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_oleria.api.polling import PollSchedule
from airflow_provider_oleria.api.responses import DOWNLOAD_ID, Response, read_download, refusal
from airflow_provider_oleria.connection.settings import DEFAULT_RETRY, RetryPolicy
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaDownloadFailedError,
    OleriaError,
    OleriaInputError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaResponseLostError,
    OleriaTimeoutError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.filters import checked_filters, checked_sorts
from airflow_provider_oleria.net.backoff import Clock, RetryBudget
from airflow_provider_oleria.net.redaction import excerpt

log = logging.getLogger(__name__)

T = TypeVar("T")

DOWNLOADS: Final = "/v1/downloads"
"""Path of the downloads."""

_PAUSED: Final = OleriaUnavailableError(
    "requests to this tenant are paused: its rate limit is reached, or its API or token endpoint is unavailable"
)


@dataclass(frozen=True)
class RateLimitDelay:
    """May a request be sent to the tenant now? Result: seconds to wait before asking again; 0 means yes."""


@dataclass(frozen=True)
class CloseGate:
    """Allow no request to the tenant for ``seconds`` seconds, from any thread or event loop.

    :param seconds: how long.
    :param is_rate_limit: whether the response was a 429.
    """

    seconds: float
    is_rate_limit: bool


@dataclass(frozen=True)
class Request:
    """Send this to the API with an access token. Result: a :class:`Response`; ``None`` if the gate closed before.

    The driver drops a token that the API refuses with 401: the next request gets a new one.

    :param method: ``GET`` or ``POST``.
    :param path: such as ``/v1/downloads``.
    :param json: the body.
    :param deadline: of the caller, by ``time.monotonic()``: limits the wait for a token.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    deadline: float | None = None


@dataclass(frozen=True)
class Sleep:
    """Wait ``seconds`` seconds."""

    seconds: float


@dataclass(frozen=True)
class ReloadConnection:
    """Read the Airflow Connection again. Result: whether it has changed."""


Step = RateLimitDelay | CloseGate | Request | Sleep | ReloadConnection
Flow = Generator[Step, Any, T]


class FlowRun(Generic[T]):
    """One run of a flow, step by step: the part that both drivers share.

    ``step`` is what the driver must do next, ``None`` at the end; then ``result`` is the flow's result.

    :param flow: the flow.
    :raises OleriaError: the flow failed; also raised by :meth:`advance`.
    """

    result: T

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.step: Step | None = None
        self.advance(None)

    def advance(self, outcome: Any) -> None:
        """Continue with the outcome of ``step``: its result, or the ``OleriaError`` it failed with."""
        try:
            if isinstance(outcome, OleriaError):
                self.step = self._flow.throw(outcome)
            else:
                self.step = self._flow.send(outcome)
        except StopIteration as end:
            self.step, self.result = None, end.value


def path_of(download_id: str) -> str:
    """The path of a download."""
    return f"{DOWNLOADS}/{quote(download_id, safe='')}"


def build_download_body(data_context: str, filter_by: Any = None, sort_by: Any = None) -> dict[str, Any]:
    """The body of the request that creates a download.

    :raises OleriaInputError: a filter or a sort order is not valid.
    """
    if not isinstance(data_context, str) or not data_context:
        raise OleriaInputError(f"data_context must be a data context's name, not {data_context!r}")
    params = {"filterBy": checked_filters(filter_by), "sortBy": checked_sorts(sort_by)}
    params = {name: items for name, items in params.items() if items}
    return {"context": str(data_context), **({"params": params} if params else {})}


def create(
    data_context: str, filter_by: Any = None, sort_by: Any = None, *, retry: RetryPolicy = DEFAULT_RETRY
) -> Flow[Download]:
    """Create a download.

    :param retry: how failed requests are retried.
    :return: the download, whatever its status.
    :raises OleriaInputError: a filter or a sort order is not valid; nothing was sent.
    :raises OleriaResponseLostError: the request was sent, and no complete response arrived. It is not repeated:
        the API would create a second download.
    """
    body = build_download_body(data_context, filter_by, sort_by)
    try:
        response = yield from call("POST", DOWNLOADS, body, retry=retry)
    except OleriaResponseLostError as problem:
        raise OleriaResponseLostError(
            f"{problem}. It is not known whether the download of {data_context} was created. The request is not "
            "repeated here, to avoid a second download. If the task has retries left, the next try creates a new one"
        ) from None
    download = read_download(response)
    log.info("Created download %s of %s.", download.download_id, data_context)
    return download


def get(
    download_id: str,
    *,
    deadline: float | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    clock: Clock = time.monotonic,
) -> Flow[Download]:
    """Get a download's status.

    :param deadline: no retry is made after this moment, by ``clock``.
    :param retry: how failed requests are retried.
    """
    if not isinstance(download_id, str) or not DOWNLOAD_ID.fullmatch(download_id):
        raise OleriaInputError(f"download_id must be the id of a download, not {download_id!r}")
    path = path_of(download_id)
    response = yield from call("GET", path, deadline=deadline, retry=retry, clock=clock)
    download = read_download(response)
    if download.download_id != download_id:
        raise OleriaProtocolError(
            f"download {download_id} was requested, the API returned {download.download_id}"
        )
    if download.status is DownloadStatus.COMPLETED and not download.url:
        raise OleriaProtocolError(f"download {download_id} is completed, but the API returned no url")
    return download


def wait(
    download_id: str,
    *,
    poll_interval: float,
    max_poll_interval: float,
    deadline: float | None,
    started_at: float | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    clock: Clock = time.monotonic,
    wall_clock: Clock = time.time,
) -> Flow[Download]:
    """Poll until a download is completed, at the times of :class:`PollSchedule`. The last poll is at the deadline.

    The epoch times are converted to the monotonic clock at the start: setting the wall clock later changes nothing.

    :param poll_interval: shortest delay between two polls, in seconds.
    :param max_poll_interval: longest delay, in seconds.
    :param deadline: epoch seconds; ``None`` for none: then failed requests are retried without end.
    :param started_at: when the download was created, in epoch seconds; ``None`` for now.
    :param retry: how failed requests are retried, until the deadline.
    :raises OleriaDownloadFailedError: with the vendor's code and message.
    :raises OleriaTimeoutError: with the id and the last status.
    """
    now, offset = clock(), clock() - wall_clock()
    started = now if started_at is None else started_at + offset
    give_up_at = float("inf") if deadline is None else deadline + offset
    schedule = PollSchedule(poll_interval, max_poll_interval)
    delay = schedule.first(now - started)
    last_status = "not known"
    warned = False
    while True:
        yield Sleep(max(0.0, min(delay, give_up_at - now)))
        try:
            download = yield from get(download_id, deadline=give_up_at, retry=retry, clock=clock)
        except OleriaTimeoutError as problem:
            raise _timed_out(download_id, last_status, clock() - started, f": {problem}") from None
        check_not_failed(download)
        if download.status != last_status:
            log.info("Download %s: %s.", download_id, download.status)
            last_status = download.status
        if download.status is DownloadStatus.COMPLETED:
            return download
        if not isinstance(download.status, DownloadStatus) and not warned:
            log.warning(
                "Download %s has the status %r, which this version of the provider does not know. It is polled until "
                "it is completed or failed, or the timeout ends the wait.",
                download_id,
                download.status,
            )
            warned = True
        now = clock()
        if now >= give_up_at:
            raise _timed_out(download_id, last_status, now - started)
        delay = schedule.next(now - started)


def probe() -> Flow[None]:
    """Check, with one request that changes nothing, that the API accepts the token. Nothing is retried.

    :raises OleriaError: what is wrong.
    """
    path = path_of(str(uuid.uuid4()))
    response: Response = yield Request("GET", path)
    if response.status == 404 and response.json is not None:
        return  # as expected: no download has this id
    if response.status == 404 or 200 <= response.status < 300:
        raise OleriaProtocolError(
            f"GET {path} answered {response.status}, but not as the API would: {excerpt(response.body)}. "
            "Is the Connection's host the API URL?"
        )
    raise refusal("GET", path, response)


def check_not_failed(download: Download) -> None:
    """Raise if the download has failed: waiting longer would not help.

    :raises OleriaDownloadFailedError: with the vendor's code and message.
    """
    if download.status is DownloadStatus.FAILED:
        raise OleriaDownloadFailedError(
            f"Oleria could not complete download {download.download_id}: {download.error or 'no reason given'}"
        )


def call(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    deadline: float | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    clock: Clock = time.monotonic,
) -> Flow[Response]:
    """Send a request until it is answered with a 2xx, as long as repeating it is safe.

    A POST is repeated only if the API did not process it.

    :param method: ``GET`` or ``POST``.
    :param path: such as ``/v1/downloads``.
    :param body: sent as JSON.
    :param deadline: no retry is made after this moment, by ``clock``.
    :param retry: how failed requests are retried.
    :raises OleriaError: if the call fails for good.
    """
    budget = RetryBudget(retry, deadline, clock)
    refusals = 0
    while True:
        problem: OleriaError
        status: int | None = None
        yield from _wait_for_gate(budget)
        try:
            response: Response | None = yield Request(method, path, body, deadline)
            if response is None:
                continue
            if 200 <= response.status < 300:
                if response.body:
                    return response
                # A connection that closes before a body of unknown length looks like this.
                raise OleriaResponseLostError(f"{method} {path} answered {response.status} without a body")
        except OleriaAuthError as refused:
            # The token endpoint refuses the credentials: have they been rotated since the Connection was read?
            if not (yield ReloadConnection()):
                raise refused from None
            problem, repeatable = refused, True
        except OleriaOutageError as failure:
            problem = failure
            repeatable = method == "GET" or not isinstance(failure, OleriaResponseLostError)
        else:
            status = response.status
            problem = refusal(method, path, response)
            if status == 401:
                refusals += 1
                if refusals == 1 or (refusals == 2 and (yield ReloadConnection())):
                    continue
            # 425, 429 and 503 mean that the request was not processed; after another 5xx it may have been.
            is_safe = method == "GET" or status in (425, 429, 503)
            repeatable = is_safe and isinstance(problem, OleriaOutageError)
        if not repeatable:
            raise problem
        response = None  # it may be large, and the delay long
        yield from _back_off(budget, problem, status)


def _wait_for_gate(budget: RetryBudget) -> Flow[None]:
    while (seconds := (yield RateLimitDelay())) > 0:
        budget.check(seconds, _PAUSED)
        yield Sleep(seconds)


def _back_off(budget: RetryBudget, problem: OleriaError, status: int | None) -> Flow[None]:
    """Wait before the next attempt. Where the API asks for a delay, the gate makes all callers wait, this one too.

    :param status: of the API's response, if there was one.
    """
    delay = budget.choose_delay(problem)
    is_rate_limit = status == 429
    requested = isinstance(problem, OleriaOutageError) and problem.retry_after is not None
    closes_gate = is_rate_limit or (status is not None and requested)
    if closes_gate:
        # Before the budget is checked: other callers need to know.
        yield CloseGate(delay, is_rate_limit)
    budget.check(delay, problem)
    log.warning("%s. Next attempt in %.1f s.", problem, delay)
    if not closes_gate:
        yield Sleep(delay)


def _timed_out(download_id: str, last_status: str, waited: float, cause: str = "") -> OleriaTimeoutError:
    return OleriaTimeoutError(
        f"download {download_id} did not complete in time (waited {waited:.0f} s, last status: {last_status}){cause}. "
        "It is still running at Oleria: raise 'timeout', or narrow the export with filters"
    )
