"""What is said to the API, and what each answer means: no I/O.

Each function is a generator. It yields what it needs next (:class:`RateLimitDelay`, :class:`Request`, :class:`Sleep`,
:class:`ReloadConnection`), is sent the result, or has an ``OleriaError`` thrown in, and returns its answer. The
drivers in ``client.py``, sync and async, run the same ones, so that the two cannot drift apart.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

from airflow_provider_oleria.api.polling import PollSchedule
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaDownloadFailedError,
    OleriaError,
    OleriaForbiddenError,
    OleriaInputError,
    OleriaNotFoundError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaResponseLostError,
    OleriaTimeoutError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.filters import checked_filters, checked_sorts
from airflow_provider_oleria.net.backoff import Clock, RetryBudget, retry_after
from airflow_provider_oleria.net.redaction import clear_frames, excerpt, redacted

log = logging.getLogger(__name__)

DOWNLOADS: Final = "/v1/downloads"
"""Where exports are started; each is below it, by its id."""

_STATUSES: Final = tuple(DownloadStatus)


@dataclass(frozen=True)
class Request:
    """Request this to the API with a token; the result is an :class:`Response`.

    A token that is refused with 401 is dropped by whoever sends, so that sending again mints a new one.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RateLimitDelay:
    """Ask whether the tenant may be called now; the result is how many seconds to wait before asking again, 0 to go."""


@dataclass(frozen=True)
class Sleep:
    """Wait so many seconds; ``reason`` is worth a line in the log when it is a problem.

    With ``for_all``, nobody is to call the tenant for so long.
    """

    seconds: float
    reason: OleriaError | None = None
    for_all: bool = False


@dataclass(frozen=True)
class ReloadConnection:
    """Read the Airflow Connection again; the result is whether it says something else than before."""


@dataclass(frozen=True)
class Response:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)  # a presigned URL may be in it

    @property
    def json(self) -> dict[str, Any] | None:
        """The JSON object in the body, ``None`` when it is anything else."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return None
        return content if isinstance(content, dict) else None


T = TypeVar("T")
Step = RateLimitDelay | Request | Sleep | ReloadConnection
Flow = Generator[Step, Any, T]


def build_download_body(data_context: str, filter_by: Any = None, sort_by: Any = None) -> dict[str, Any]:
    """What is sent to start an export.

    :raises OleriaInputError: a filter or a sort order is not valid.
    """
    if not isinstance(data_context, str) or not data_context:
        raise OleriaInputError(f"data_context must be a data context's name, not {data_context!r}")
    params = {"filterBy": checked_filters(filter_by), "sortBy": checked_sorts(sort_by)}
    params = {name: items for name, items in params.items() if items}
    return {"context": str(data_context), **({"params": params} if params else {})}


def create(data_context: str, filter_by: Any = None, sort_by: Any = None) -> Flow[Download]:
    """Start an export.

    :raises OleriaInputError: a filter or a sort order is not valid; nothing was sent.
    :raises OleriaResponseLostError: the request went out and no answer came: it is not repeated, since the API
        would start a second export.
    """
    body = build_download_body(data_context, filter_by, sort_by)
    try:
        answer = yield from call("POST", DOWNLOADS, body)
    except OleriaResponseLostError as problem:
        raise OleriaResponseLostError(
            f"{problem}. Whether the export of {data_context} was started is unknown; the request is not repeated "
            "here, so as not to start a second one. Airflow's retries, if the task has any left, will start a new one"
        ) from None
    request = _read_download(answer)
    log.info("Oleria accepted the export of %s: download %s.", data_context, request.download_id)
    return request


def get(download_id: str, *, deadline: float | None = None) -> Flow[Download]:
    """Ask where an export stands.

    :param deadline: epoch seconds after which faults are not retried.
    """
    if not isinstance(download_id, str) or not download_id:
        raise OleriaInputError(f"download_id must be the id of a download, not {download_id!r}")
    answer = yield from call("GET", f"{DOWNLOADS}/{quote(download_id, safe='')}", deadline=deadline)
    request = _read_download(answer)
    if request.download_id != download_id:
        raise OleriaProtocolError(
            f"asked for download {download_id}, the API answered with {request.download_id}"
        )
    if request.status is DownloadStatus.COMPLETED and not request.url:
        raise OleriaProtocolError(f"download {download_id} is completed, but the API gave no url for it")
    return request


def wait(
    download_id: str,
    *,
    poll_interval: float,
    max_poll_interval: float,
    deadline: float | None,
    started_at: float | None = None,
    clock: Clock = time.time,
) -> Flow[Download]:
    """Ask until the export has ended well, as :class:`PollSchedule` says. The last question comes at the deadline.

    :param poll_interval: shortest pause, in seconds.
    :param max_poll_interval: longest pause, in seconds.
    :param deadline: epoch seconds.
    :param started_at: when the export was started, in epoch seconds; ``None`` for now.
    :raises OleriaDownloadFailedError: with the vendor's code and message.
    :raises OleriaTimeoutError: naming the id and the last status seen.
    """
    now = clock()
    started = now if started_at is None else started_at
    plan = PollSchedule(poll_interval, max_poll_interval)
    pause = plan.first(now - started)
    last_status = "unknown"
    while True:
        yield Sleep(pause if deadline is None else max(0.0, min(pause, deadline - now)))
        try:
            request = yield from get(download_id, deadline=deadline)
        except OleriaTimeoutError as problem:
            raise _timed_out(download_id, last_status, started, clock(), str(problem)) from None
        check_not_failed(request)
        if request.status != last_status:
            log.info("Download %s: %s.", download_id, request.status)
            last_status = request.status
        if request.status is DownloadStatus.COMPLETED:
            return request
        now = clock()
        if deadline is not None and now >= deadline:
            raise _timed_out(download_id, last_status, started, now)
        pause = plan.next(now - started)


def probe() -> Flow[None]:
    """Find out, by one call that changes nothing, whether the API takes the token: somebody waits for the answer.

    :raises OleriaError: what is wrong; nothing is tried twice.
    """
    path = f"{DOWNLOADS}/{uuid.uuid4()}"
    answer: Response = yield Request("GET", path)
    if answer.status == 404 and answer.json is not None:
        return  # of course: nobody has been given this id
    if answer.status == 404 or 200 <= answer.status < 300:
        raise OleriaProtocolError(
            f"GET {path} answered {answer.status}, but not as the API would: {excerpt(answer.body)}. "
            "Is the Connection's host the API URL?"
        )
    raise _problem("GET", path, answer)


def check_not_failed(request: Download) -> None:
    """A failed export is an error no retry of the wait can mend.

    :raises OleriaDownloadFailedError: with the vendor's code and message.
    """
    if request.status is DownloadStatus.FAILED:
        raise OleriaDownloadFailedError(
            f"Oleria could not make export {request.download_id}: {request.error or 'no reason given'}"
        )


def call(
    method: str, path: str, body: Mapping[str, Any] | None = None, *, deadline: float | None = None
) -> Flow[Response]:
    """One call, repeated as far as that is safe, until it is answered with a 2xx.

    :param method: ``GET`` or ``POST``.
    :param path: such as ``/v1/downloads``.
    :param body: what to send as JSON.
    :param deadline: epoch seconds after which faults are not retried.
    :raises OleriaError: what it came to instead.
    """
    patience = RetryBudget(deadline)
    refusals = 0
    while True:
        problem: OleriaError
        rate_limited = False
        while (seconds := (yield RateLimitDelay())) > 0:
            patience.check(seconds, OleriaUnavailableError("the tenant's rate limit is reached"))
            yield Sleep(seconds)
        try:
            answer: Response = yield Request(method, path, body)
        except OleriaAuthError as refused:
            # The token endpoint refuses the credentials: rotated since the Connection was read?
            if not (yield ReloadConnection()):
                raise refused from None
            continue
        except OleriaOutageError as fault:
            problem = fault
            repeatable = method == "GET" or not isinstance(fault, OleriaResponseLostError)
        else:
            if 200 <= answer.status < 300:
                return answer
            problem = _problem(method, path, answer)
            if answer.status == 401:
                refusals += 1
                if refusals == 1 or (refusals == 2 and (yield ReloadConnection())):
                    continue
            # 429 and 503 say that the request was not taken; after another 5xx it may have been.
            repeatable = method == "GET" or answer.status in (429, 503)
            rate_limited = answer.status == 429
        if not (repeatable and isinstance(problem, OleriaOutageError)):
            raise problem
        yield Sleep(patience.next_delay(problem), problem, for_all=rate_limited)


def _problem(method: str, path: str, answer: Response) -> OleriaError:
    """What an answer other than 2xx means. Source: Oleria's API overview, its table of status codes."""
    said = f"{method} {path} answered {answer.status}: {_vendor_text(answer)}"
    match answer.status:
        case 401:
            return OleriaAuthError(
                f"{said}. New tokens are refused too: is the API URL (host) of the same environment as auth_url?"
            )
        case 403:
            return OleriaForbiddenError(
                f"{said}. The credential is not scoped for this: check the OAuth application's permissions in Oleria"
            )
        case 404:
            return OleriaNotFoundError(
                f"{said}. It does not exist (any more), or this credential may not see it. Check the id, "
                "and that the Connection's host is the API URL of the same tenant"
            )
        case 429:
            problem: OleriaOutageError = OleriaUnavailableError(f"{said}. The tenant's rate limit is reached")
        case status if status >= 500:
            problem = OleriaUnavailableError(f"{said}. The API is in trouble")
        case status if 300 <= status < 400:
            return OleriaRequestError(
                f"{said}. A redirect is not followed with a token: the Connection's host must be the API URL itself"
            )
        case _:
            return OleriaRequestError(f"{said}. Check data_context, filter_by and sort_by")
    problem.retry_after = retry_after(answer.headers, time.time())
    return problem


def _vendor_text(answer: Response) -> str:
    content = answer.json
    if content and ("code" in content or "message" in content):
        return redacted(f"{content.get('code', 'no code')}: {content.get('message', 'no message')}")[:1000]
    return excerpt(answer.body)


@clear_frames
def _read_download(answer: Response) -> Download:
    content = answer.json
    if content is None:
        raise OleriaProtocolError(
            f"the API answered {answer.status} with no JSON object: {excerpt(answer.body)}"
        )
    download_id, status, url = content.get("id"), content.get("status"), content.get("url")
    if not isinstance(download_id, str) or not download_id:
        raise OleriaProtocolError(f"the API's answer has no id: {excerpt(answer.body)}")
    if status not in _STATUSES:
        raise OleriaProtocolError(
            f"download {download_id} has status {redacted(repr(status))}, which is none of {', '.join(_STATUSES)}"
        )
    return Download(
        download_id=download_id,
        status=DownloadStatus(status),
        error=_vendor_error(content.get("error")),
        url=url if isinstance(url, str) and url else None,
    )


def _vendor_error(error: object) -> str | None:
    if isinstance(error, dict):
        error = f"{error.get('code', 'no code')}: {error.get('message', 'no message')}"
    return redacted(str(error))[:1000] if error else None


def _timed_out(
    download_id: str, last_status: str, started: float, now: float, also: str = ""
) -> OleriaTimeoutError:
    return OleriaTimeoutError(
        f"download {download_id} was not complete when the time was up: waited {now - started:.0f} s, "
        f"last status {last_status}{'; ' + also if also else ''}. Oleria goes on with it: give it more time by "
        "'timeout', or narrow the export by filters"
    )
