"""What is said to the API, and what each answer means: no I/O.

Each function is a generator. It yields what it needs next (:class:`Turn`, :class:`Send`, :class:`Pause`,
:class:`RereadConnection`), is sent the result, or has an ``OleriaError`` thrown in, and returns its answer. The
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

from airflow_provider_oleria.api.polling import PollPlan
from airflow_provider_oleria.downloads import DownloadRequest, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAnswerLostError,
    OleriaAuthError,
    OleriaError,
    OleriaExportFailedError,
    OleriaForbiddenError,
    OleriaInputError,
    OleriaNotFoundError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaTimeoutError,
    OleriaUnavailableError,
    without_frames,
)
from airflow_provider_oleria.filters import checked_filters, checked_sorts
from airflow_provider_oleria.net.backoff import Clock, Patience, retry_after
from airflow_provider_oleria.net.redaction import excerpt, redacted

log = logging.getLogger(__name__)

DOWNLOADS: Final = "/v1/downloads"
"""Where exports are started; each is below it, by its id."""

_STATUSES: Final = tuple(DownloadStatus)


@dataclass(frozen=True)
class Send:
    """Send this to the API with a token; the result is an :class:`Answer`.

    A token that is refused with 401 is dropped by whoever sends, so that sending again mints a new one.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Turn:
    """Ask whether the tenant may be called now; the result is how many seconds to wait before asking again, 0 to go."""


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds; ``reason`` is worth a line in the log when it is a problem.

    With ``for_all``, nobody is to call the tenant for so long.
    """

    seconds: float
    reason: OleriaError | None = None
    for_all: bool = False


@dataclass(frozen=True)
class RereadConnection:
    """Read the Airflow Connection again; the result is whether it says something else than before."""


@dataclass(frozen=True)
class Answer:
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
Step = Turn | Send | Pause | RereadConnection
Conversation = Generator[Step, Any, T]


def export_body(data_context: str, filter_by: Any = None, sort_by: Any = None) -> dict[str, Any]:
    """What is sent to start an export.

    :raises OleriaInputError: a filter or a sort order is not valid.
    """
    if not isinstance(data_context, str) or not data_context:
        raise OleriaInputError(f"data_context must be a data context's name, not {data_context!r}")
    params = {"filterBy": checked_filters(filter_by), "sortBy": checked_sorts(sort_by)}
    params = {name: items for name, items in params.items() if items}
    return {"context": str(data_context), **({"params": params} if params else {})}


def create(data_context: str, filter_by: Any = None, sort_by: Any = None) -> Conversation[DownloadRequest]:
    """Start an export.

    :raises OleriaInputError: a filter or a sort order is not valid; nothing was sent.
    :raises OleriaAnswerLostError: the request went out and no answer came: it is not repeated, since the API
        would start a second export.
    """
    body = export_body(data_context, filter_by, sort_by)
    try:
        answer = yield from call("POST", DOWNLOADS, body)
    except OleriaAnswerLostError as problem:
        raise OleriaAnswerLostError(
            f"{problem}. Whether the export of {data_context} was started is unknown; the request is not repeated "
            "here, so as not to start a second one. Airflow's retries, if the task has any left, will start a new one"
        ) from None
    request = _download_request(answer)
    log.info("Oleria accepted the export of %s: download %s.", data_context, request.id)
    return request


def get(download_id: str, *, deadline: float | None = None) -> Conversation[DownloadRequest]:
    """Ask where an export stands.

    :param deadline: epoch seconds after which faults are not retried.
    """
    if not isinstance(download_id, str) or not download_id:
        raise OleriaInputError(f"download_id must be the id of a download, not {download_id!r}")
    answer = yield from call("GET", f"{DOWNLOADS}/{quote(download_id, safe='')}", deadline=deadline)
    request = _download_request(answer)
    if request.id != download_id:
        raise OleriaProtocolError(f"asked for download {download_id}, the API answered with {request.id}")
    if request.status is DownloadStatus.COMPLETED and not request.url:
        raise OleriaProtocolError(f"download {download_id} is completed, but the API gave no url for it")
    return request


def wait(
    download_id: str,
    *,
    poll_interval: float,
    max_poll_interval: float,
    deadline: float | None,
    waiting_since: float | None = None,
    clock: Clock = time.time,
) -> Conversation[DownloadRequest]:
    """Ask until the export has ended well, as :class:`PollPlan` says. The last question comes at the deadline.

    :param poll_interval: shortest pause, in seconds.
    :param max_poll_interval: longest pause, in seconds.
    :param deadline: epoch seconds.
    :param waiting_since: when the export was started, in epoch seconds; ``None`` for now.
    :raises OleriaExportFailedError: with the vendor's code and message.
    :raises OleriaTimeoutError: naming the id and the last status seen.
    """
    now = clock()
    started = now if waiting_since is None else waiting_since
    plan = PollPlan(poll_interval, max_poll_interval)
    pause = plan.first(now - started)
    last_status = "unknown"
    while True:
        yield Pause(pause if deadline is None else max(0.0, min(pause, deadline - now)))
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


def probe() -> Conversation[None]:
    """Find out, by one call that changes nothing, whether the API takes the token: somebody waits for the answer.

    :raises OleriaError: what is wrong; nothing is tried twice.
    """
    path = f"{DOWNLOADS}/{uuid.uuid4()}"
    answer: Answer = yield Send("GET", path)
    if answer.status == 404 and answer.json is not None:
        return  # of course: nobody has been given this id
    if answer.status == 404 or 200 <= answer.status < 300:
        raise OleriaProtocolError(
            f"GET {path} answered {answer.status}, but not as the API would: {excerpt(answer.body)}. "
            "Is the Connection's host the API URL?"
        )
    raise _problem("GET", path, answer)


def check_not_failed(request: DownloadRequest) -> None:
    """A failed export is an error no retry of the wait can mend.

    :raises OleriaExportFailedError: with the vendor's code and message.
    """
    if request.status is DownloadStatus.FAILED:
        raise OleriaExportFailedError(
            f"Oleria could not make export {request.id}: {request.error or 'no reason given'}"
        )


def call(
    method: str, path: str, body: Mapping[str, Any] | None = None, *, deadline: float | None = None
) -> Conversation[Answer]:
    """One call, repeated as far as that is safe, until it is answered with a 2xx.

    :param method: ``GET`` or ``POST``.
    :param path: such as ``/v1/downloads``.
    :param body: what to send as JSON.
    :param deadline: epoch seconds after which faults are not retried.
    :raises OleriaError: what it came to instead.
    """
    patience = Patience(deadline)
    refusals = 0
    while True:
        problem: OleriaError
        rate_limited = False
        while (seconds := (yield Turn())) > 0:
            patience.check(seconds, OleriaUnavailableError("the tenant's rate limit is reached"))
            yield Pause(seconds)
        try:
            answer: Answer = yield Send(method, path, body)
        except OleriaAuthError as refused:
            # The token endpoint refuses the credentials: rotated since the Connection was read?
            if not (yield RereadConnection()):
                raise refused from None
            continue
        except OleriaOutageError as fault:
            problem = fault
            repeatable = method == "GET" or not isinstance(fault, OleriaAnswerLostError)
        else:
            if 200 <= answer.status < 300:
                return answer
            problem = _problem(method, path, answer)
            if answer.status == 401:
                refusals += 1
                if refusals == 1 or (refusals == 2 and (yield RereadConnection())):
                    continue
            # 429 and 503 say that the request was not taken; after another 5xx it may have been.
            repeatable = method == "GET" or answer.status in (429, 503)
            rate_limited = answer.status == 429
        if not (repeatable and isinstance(problem, OleriaOutageError)):
            raise problem
        yield Pause(patience.pause_after(problem), problem, for_all=rate_limited)


def _problem(method: str, path: str, answer: Answer) -> OleriaError:
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


def _vendor_text(answer: Answer) -> str:
    content = answer.json
    if content and ("code" in content or "message" in content):
        return redacted(f"{content.get('code', 'no code')}: {content.get('message', 'no message')}")[:1000]
    return excerpt(answer.body)


@without_frames
def _download_request(answer: Answer) -> DownloadRequest:
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
    return DownloadRequest(
        id=download_id,
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
