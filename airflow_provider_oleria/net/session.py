"""``OAuth2Session`` made safe: limits on every call, no redirects, plain http for loopback hosts alone."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests.adapters import HTTPAdapter
from requests_oauthlib import OAuth2Session

from airflow_provider_oleria.connection.settings import CONNECT_TIMEOUT, Settings, is_loopback
from airflow_provider_oleria.exceptions import OleriaOutageError, OleriaProtocolError
from airflow_provider_oleria.net.failures import request_fault
from airflow_provider_oleria.net.redaction import guard_library_logs

_CHUNK = 64 * 1024


class SafeSession(OAuth2Session):
    """An ``OAuth2Session`` for client credentials whose calls end, one way or the other.

    A redirect is returned as it is: following it would carry the token, or the client secret, to another host.
    Faults are this package's own errors, without the URL.

    :param settings: the Connection's settings.
    :param max_bytes: longest response that is read; ``None`` for any. The argument of :meth:`request` has priority.
    """

    def __init__(self, settings: Settings, max_bytes: int | None = None) -> None:
        guard_library_logs()
        super().__init__(client=BackendApplicationClient(settings.client_id, scope=settings.scope))
        self.settings = settings
        self._max_bytes = max_bytes
        for url in (settings.api_url, settings.auth_url):
            if (face := oauthlib_url(url)) != url:
                self.mount(f"https://{urlsplit(face).netloc}/", _LoopbackAdapter())

    # The two bases already disagree on the signature; everything but the URL goes through.
    def request(  # type: ignore[override]  # see above
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send one request and read the whole answer.

        :raises OleriaUnreachableError: the request surely did not arrive.
        :raises OleriaResponseLostError: it may have arrived, but no whole answer came in time.
        :raises OleriaProtocolError: the response is longer than ``max_bytes``.
        """
        settings = self.settings
        streamed = kwargs.get("stream")
        max_bytes = kwargs.pop("max_bytes", self._max_bytes)
        # Passed with each request: requests would prefer REQUESTS_CA_BUNDLE to the session's own bundle.
        kwargs |= {"allow_redirects": False, "stream": True, "verify": settings.verify}
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_TIMEOUT, settings.timeout)
        give_up_at = time.monotonic() + settings.total_timeout
        problem: OleriaOutageError
        try:
            response = super().request(method, self._face(url), *args, **kwargs)
            if not streamed:
                _read(response, give_up_at, max_bytes)
        except requests.RequestException as error:
            problem = request_fault(error, url)
        else:
            return response
        # Raised here, not above: requests' own text would follow it into the traceback, whole URL included.
        raise problem

    def _face(self, url: str) -> str:
        face = oauthlib_url(url)
        return face if isinstance(self.get_adapter(face), _LoopbackAdapter) else url


def oauthlib_url(url: str) -> str:
    """How a loopback http URL is shown to oauthlib, which wants https everywhere unless an environment variable
    switches that off for the whole process. :class:`_LoopbackAdapter` sends it as what it is.
    """
    return "https" + url.removeprefix("http") if url.startswith("http://") and is_loopback(url) else url


class _LoopbackAdapter(HTTPAdapter):
    """Plain http, for the one loopback host it is mounted on; never through a proxy."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None  # noqa: S101  # prepared requests have one; for the type checker
        request.url = "http" + request.url.removeprefix("https")
        return super().send(request, *args, **{**kwargs, "proxies": {}})


def too_long(url: str, max_bytes: int) -> OleriaProtocolError:
    """The error for a response of more than ``max_bytes`` bytes."""
    return OleriaProtocolError(f"{urlsplit(url).netloc} sent a response of more than {max_bytes:,} bytes")


def _read(response: requests.Response, give_up_at: float, max_bytes: int | None) -> None:
    """Read the body within a total time and length, which ``requests`` does not limit."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if time.monotonic() > give_up_at:
            response.close()
            raise requests.ReadTimeout
        if max_bytes is not None and len(body) > max_bytes:
            response.close()
            raise too_long(response.url, max_bytes)
    # Where requests itself keeps a body that was read; there is no public way to hand one back.
    response._content = bytes(body)
