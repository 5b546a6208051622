"""The presigned URL: a credential, renewed when the store does not accept it any more."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import requests

from airflow_provider_oleria.connection.settings import is_secure
from airflow_provider_oleria.exceptions import OleriaTransferError, OleriaUrlExpiredError
from airflow_provider_oleria.net.backoff import retry_after

# What S3 calls a URL, or the credentials behind it, that is past its time; the first comes with any refusal.
_EXPIRED: Final = ("AccessDenied", "ExpiredToken", "RequestExpired", "SignatureDoesNotMatch")


@dataclass(frozen=True)
class PresignedUrl:
    """A presigned URL, which is a credential: not shown among a frame's variables."""

    value: str = field(repr=False)


class Link:
    """The presigned URL, renewed once per expiry however many connections find it expired."""

    def __init__(self, fresh_url: Callable[[], str]) -> None:
        self._fresh_url = fresh_url
        self._lock = threading.Lock()
        self._url: PresignedUrl | None = None
        self._problem: Exception | None = None

    def url(self) -> PresignedUrl:
        """The URL to use now.

        :raises OleriaTransferError: it is not https.
        :raises OleriaError: there is none to be had.
        """
        with self._lock:
            if self._problem is not None:
                raise self._problem  # patience was had with the API once, and is not for each connection anew
            if self._url is None:
                try:
                    url = PresignedUrl(self._fresh_url())
                except Exception as problem:
                    self._problem = problem
                    raise
                if not is_secure(url.value):
                    raise OleriaTransferError(
                        "the presigned URL is not https: a credential is not sent in plain text"
                    )
                self._url = url
            return self._url

    def refused(self, url: PresignedUrl) -> None:
        """The store does not accept ``url``: the next one is a fresh one, unless somebody else has said so already."""
        with self._lock:
            if self._url == url:
                self._url = None


def refusal(response: requests.Response) -> OleriaTransferError:
    """What the store's refusal means.

    :param response: its answer, with a status that is none of those asked for.
    """
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
