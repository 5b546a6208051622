"""What a response of the API means: a download, or an error. No I/O."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaConfigurationError,
    OleriaError,
    OleriaForbiddenError,
    OleriaNotFoundError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.net.backoff import is_passing, retry_after
from airflow_provider_oleria.net.redaction import clear_frames, excerpt, has_credential, quoted, remember_url

MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""Longest response of the API or the token endpoint that is read."""

_MAX_JSON_VALUES: Final = 10_000
"""Values of the largest JSON body that is parsed: a megabyte of small ones would block the event loop for a second."""

DOWNLOAD_ID: Final = re.compile(r"[!-~]{1,200}")
"""A download id: Oleria's are uuids; other visible ASCII text is accepted."""

FROM_A_PROXY: Final = {
    407: "Not Oleria, but a proxy in between answers this: it requires a user name and password, see HTTPS_PROXY",
    511: "Not Oleria, but the network in between answers this: it requires a login of this machine",
}
"""By status, what the responses mean that only a proxy gives."""

_MAX_STATUS: Final = 100
"""Characters of a status that is not known."""


@dataclass(frozen=True)
class Response:
    """A response of the API."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # may repeat a credential
    body: bytes = field(repr=False)  # may contain a presigned URL

    @property
    def json(self) -> dict[str, Any] | None:
        """The JSON object in the body; ``None`` if it is anything else."""
        return parse_object(self.body)


def is_download_id(text: str) -> bool:
    """Whether a text can be the id of a download, and may be shown."""
    return DOWNLOAD_ID.fullmatch(text) is not None and not has_credential(text)


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; ``None`` if it is anything else, or has too many values for an answer of the API."""
    if sum(map(body.count, (b"{", b"[", b","))) > _MAX_JSON_VALUES:
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def refusal(method: str, path: str, response: Response) -> OleriaError:
    """The error for a response other than 2xx. Source: Oleria's API overview, its table of status codes."""
    content = response.json or {}
    said = _vendor_error(content) if "code" in content or "message" in content else excerpt(response.body)
    text = f"{method} {path} answered {response.status}: {said}"
    match response.status:
        case status if status in FROM_A_PROXY:
            return OleriaConfigurationError(f"{text}. {FROM_A_PROXY[status]}")
        case 401:
            return OleriaAuthError(
                f"{text}. New tokens are refused too: is the API URL (host) of the same environment as auth_url?"
            )
        case 403:
            return OleriaForbiddenError(
                f"{text}. The credential is not scoped for this: check the OAuth application's permissions in Oleria"
            )
        case 404:
            return OleriaNotFoundError(
                f"{text}. It does not exist (any more), or this credential may not see it. Check the id, "
                "and that the Connection's host is the API URL of the same tenant"
            )
        case 429:
            problem: OleriaOutageError = OleriaUnavailableError(f"{text}. The tenant's rate limit is reached")
        case status if is_passing(status):
            problem = OleriaUnavailableError(f"{text}. The API is temporarily unavailable")
        case status if 300 <= status < 400:
            return OleriaRequestError(
                f"{text}. A redirect is not followed with a token: the Connection's host must be the API URL itself"
            )
        case _:
            what = "data_context, filter_by and sort_by" if method == "POST" else "download_id"
            return OleriaRequestError(f"{text}. Check {what}")
    problem.retry_after = retry_after(response.headers, time.time())
    return problem


@clear_frames
def read_download(response: Response) -> Download:
    """The download that a response describes.

    :raises OleriaProtocolError: it describes none.
    """
    content = response.json
    if content is None:
        raise OleriaProtocolError(
            f"the API answered {response.status} with no JSON object: {excerpt(response.body)}"
        )
    download_id, error, url = content.get("id"), content.get("error"), content.get("url")
    url = url if isinstance(url, str) and url else None
    if url:
        remember_url(url)  # before anything of the response is quoted
    if not isinstance(download_id, str) or not is_download_id(download_id):
        raise OleriaProtocolError(f"the API's response has no id: {excerpt(response.body)}")
    return Download(
        download_id=download_id,
        status=_read_status(content.get("status"), error, url),
        error=_vendor_error(error) if error else None,
        url=url,
    )


def _read_status(status: object, error: object, url: str | None) -> str:
    """The status of a download. The API's own sample responses have none: then the other fields decide."""
    if isinstance(status, str) and status:
        return DownloadStatus.parse(quoted(status, _MAX_STATUS))
    if url:
        return DownloadStatus.COMPLETED
    return DownloadStatus.FAILED if error else DownloadStatus.ACCEPTED


def _vendor_error(error: object) -> str:
    """An error of the API as one line, ``code: message``."""
    if isinstance(error, dict):
        error = f"{_as_text(error.get('code', 'no code'))}: {_as_text(error.get('message', 'no message'))}"
    return quoted(_as_text(error))


def _as_text(value: object) -> str:
    try:
        return str(value)
    except RecursionError:  # JSON may be nested deeper than it can be printed
        return "a nested value"
