"""The presigned URL, a credential: renewed when the store no longer accepts it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import requests

from airflow_provider_oleria.exceptions import (
    OleriaTransferError,
    OleriaUrlExpiredError,
)
from airflow_provider_oleria.net.backoff import retry_after

# S3's error codes for an expired URL, or expired credentials behind it; the first is sent with any refusal.
_EXPIRED: Final = ("AccessDenied", "ExpiredToken", "RequestExpired", "SignatureDoesNotMatch")


@dataclass(frozen=True)
class PresignedUrl:
    """A presigned URL. Its ``repr`` does not show it."""

    value: str = field(repr=False)


class Link:
    """The presigned URL, renewed once per expiry for all connections.

    :param fresh_url: requests a presigned URL from the API.
    :param check: raises if a URL must not be requested.
    """

    def __init__(self, fresh_url: Callable[[], str], check: Callable[[str], None]) -> None:
        self._fresh_url = fresh_url
        self._check = check
        self._lock = threading.Lock()
        self._url: PresignedUrl | None = None
        self._problem: Exception | None = None

    def url(self) -> PresignedUrl:
        """Return the current URL, or request one.

        :raises OleriaError: if no URL could be obtained, or it must not be requested. A retry
            would get another such URL.
        """
        with self._lock:
            if self._problem is not None:
                raise self._problem  # the API was retried once, for all connections
            if self._url is None:
                try:
                    url = PresignedUrl(self._fresh_url())
                except Exception as problem:
                    self._problem = problem
                    raise
                self._check(url.value)
                self._url = url
            return self._url

    def expire(self, url: PresignedUrl) -> None:
        """Discard ``url``, which the store refused, unless another connection has renewed it already."""
        with self._lock:
            if self._url == url:
                self._url = None


def refusal(response: requests.Response) -> OleriaTransferError:
    """Convert a response with an unexpected status to an error.

    :param response: the store's response.
    """
    body = b""
    with suppress(requests.RequestException):
        body = next(response.iter_content(4096), b"")
    text = f"the store answered {response.status_code} {error_code(body)}".rstrip()
    if is_expired(response.status_code, body):
        return OleriaUrlExpiredError(f"{text}: the presigned URL is not, or no longer, accepted")
    problem = OleriaTransferError(text)
    problem.retry_after = retry_after(response.headers, time.time())
    return problem


def error_code(body: bytes) -> str:
    """Extract S3's error code from a body in XML. The rest of the body repeats the request, and is not used."""
    return next(iter(re.findall(r"<Code>([A-Za-z]{1,100})</Code>", body.decode("utf-8", "replace"))), "")


def is_expired(status: int, body: bytes) -> bool:
    """Whether the store refused the presigned URL itself, so that a new one may be accepted.

    :param status: the status of the response.
    :param body: the beginning of its body.
    """
    return status == 403 or (status == 400 and error_code(body) in _EXPIRED)
