"""One small export, from its start to its file: what the assumptions are held against."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_oleria.api.protocol import DOWNLOADS, Response, build_download_body
from airflow_provider_oleria.check.calls import Calls
from airflow_provider_oleria.connection.settings import is_secure
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaDownloadFailedError,
    OleriaProtocolError,
    OleriaTimeoutError,
    OleriaTransferError,
)

_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, repr=False)
class Evidence:
    """What was answered, credentials included.

    :param calls: for what an assumption wants to ask besides.
    :param unknown: to the question for an id that was never given out.
    :param created: to the start of the export.
    :param polls: to each question where it stands; the last has the URL.
    :param again: to the same question once more.
    :param file: to the first GET of the URL, with the beginning of the file.
    :param seconds: how long the export took.
    """

    calls: Calls
    unknown: Response
    created: Response
    polls: Sequence[Response]
    again: Response
    file: Response
    seconds: float

    @property
    def path(self) -> str:
        """Where the export is asked after."""
        return path_of(str(content(self.created).get("id")))

    @property
    def url(self) -> str:
        """Its presigned URL, a credential."""
        return str(content(self.polls[-1]).get("url"))


def gather(
    calls: Calls, data_context: str, filter_by: Sequence[Mapping[str, Any]], timeout: float
) -> Evidence:
    """Start an export, wait for it, and begin to fetch its file.

    :param calls: how to call.
    :param data_context: what to export.
    :param filter_by: filters, to keep it small.
    :param timeout: how long it may take, in seconds.
    :raises OleriaError: it cannot be done.
    """
    unknown = calls.once(path_of(str(uuid.uuid4())))
    created = calls.api("POST", DOWNLOADS, build_download_body(data_context, filter_by))
    started = time.monotonic()
    download_id = content(created).get("id")
    if not isinstance(download_id, str) or not download_id:
        raise OleriaProtocolError(f"POST {DOWNLOADS} answered {created.status} without an id")
    polls = _polled(calls, download_id, started + timeout)
    seconds = time.monotonic() - started
    url = str(content(polls[-1])["url"])
    again = calls.once(path_of(download_id))
    return Evidence(calls, unknown, created, polls, again, _opened(calls, url), seconds)


def _polled(calls: Calls, download_id: str, give_up_at: float) -> Sequence[Response]:
    polls: list[Response] = []
    began = time.monotonic()
    while True:
        polls.append(calls.api("GET", path_of(download_id)))
        said = content(polls[-1])
        if said.get("url"):
            return polls
        if said.get("status") == DownloadStatus.FAILED:
            raise OleriaDownloadFailedError(f"Oleria could not make export {download_id}")
        now = time.monotonic()
        if now > give_up_at:
            raise OleriaTimeoutError(f"download {download_id} was not complete in time: more --timeout helps")
        time.sleep(max(_SHORTEST_PAUSE, min(_LONGEST_PAUSE, (now - began) / 10)))


def _opened(calls: Calls, url: str) -> Response:
    if not is_secure(url):
        raise OleriaTransferError("the presigned URL is not https: a credential is not sent in plain text")
    file = calls.file(url)
    if file.status != 200:
        raise OleriaTransferError(f"the store answered {file.status} to the presigned URL")
    return file


def content(answer: Response) -> Mapping[str, Any]:
    """The JSON object of an answer, or an empty one."""
    return answer.json or {}


def path_of(download_id: str) -> str:
    """Where a download is asked after."""
    return f"{DOWNLOADS}/{quote(download_id, safe='')}"
