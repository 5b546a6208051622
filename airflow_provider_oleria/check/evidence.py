"""One small download, from its creation to its file: what the assumptions are compared with."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_oleria.api.polling import PollSchedule
from airflow_provider_oleria.api.protocol import DOWNLOADS, build_download_body, path_of
from airflow_provider_oleria.api.responses import Response, read_download
from airflow_provider_oleria.check.calls import Calls
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaDownloadFailedError,
    OleriaTimeoutError,
    OleriaTransferError,
)
from airflow_provider_oleria.net.redaction import remember_url


@dataclass(frozen=True, repr=False)
class Evidence:
    """The responses, credentials included, and how long the download took."""

    calls: Calls
    unknown: Response
    """To the GET of an id that does not exist."""
    created: Response
    polls: Sequence[Response]
    """To each poll; the last has the URL."""
    again: Response
    """To one more poll."""
    file: Response
    """To the first GET of the URL, with the beginning of the file."""
    seconds: float

    @property
    def path(self) -> str:
        """The path of the download."""
        return path_of(str(content(self.created).get("id")))

    @property
    def url(self) -> str:
        """Its presigned URL, a credential."""
        return str(content(self.polls[-1]).get("url"))


def gather(
    calls: Calls, data_context: str, filter_by: Sequence[Mapping[str, Any]], timeout: float
) -> Evidence:
    """Create a download, wait for it, and fetch the beginning of its file.

    :param calls: sends the requests.
    :param data_context: what to export.
    :param filter_by: filters, to keep it small.
    :param timeout: how long it may take, in seconds.
    :raises OleriaError: one of these fails.
    """
    unknown = calls.once(path_of(str(uuid.uuid4())))
    created = calls.api("POST", DOWNLOADS, build_download_body(data_context, filter_by))
    download_id = read_download(created).download_id
    polls, seconds = _poll(calls, download_id, timeout)
    again = calls.once(path_of(download_id))
    file = calls.file(str(content(polls[-1])["url"]))
    if file.status != 200:
        raise OleriaTransferError(f"the store responded {file.status} to the presigned URL")
    return Evidence(calls, unknown, created, polls, again, file, seconds)


def _poll(calls: Calls, download_id: str, timeout: float) -> tuple[Sequence[Response], float]:
    """Return the response to each poll, the last with the URL, and how many seconds that took."""
    polls: list[Response] = []
    schedule = PollSchedule(0.5, 10)
    started = time.monotonic()
    while True:
        polls.append(calls.api("GET", path_of(download_id)))
        age = time.monotonic() - started
        download = content(polls[-1])
        if url := download.get("url"):
            remember_url(str(url))
            return polls, age
        if download.get("status") == DownloadStatus.FAILED:
            raise OleriaDownloadFailedError(f"download {download_id} failed at Oleria")
        if age > timeout:
            raise OleriaTimeoutError(f"download {download_id} did not complete in time: raise --timeout")
        time.sleep(schedule.next(age))


def content(response: Response) -> Mapping[str, Any]:
    """Return the JSON object of a response, or an empty one."""
    return response.json or {}
