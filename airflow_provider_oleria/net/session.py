"""An ``OAuth2Session`` with limits on every call, no redirects, and plain http for loopback hosts alone."""

from __future__ import annotations

import io
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests.adapters import HTTPAdapter
from requests_oauthlib import OAuth2Session

from airflow_provider_oleria.connection.settings import Settings, is_loopback
from airflow_provider_oleria.exceptions import OleriaError, OleriaProtocolError
from airflow_provider_oleria.net.addresses import Resolve, ResolvingConnection
from airflow_provider_oleria.net.failures import REQUESTS_ERRORS, requests_failure
from airflow_provider_oleria.net.read_limit import LimitedResponse, ReadLimit, read_limit
from airflow_provider_oleria.net.redaction import guard_library_logs
from airflow_provider_oleria.net.route import find_ca_bundle, find_route

_CHUNK_SIZE: Final = 64 * 1024
"""Bytes read at a time."""


class RouteAdapter(HTTPAdapter):
    """Connects as :mod:`airflow_provider_oleria.net.route` decides, whatever the session's own settings are.

    :param settings: the Connection's settings.
    :param addresses_of: has the addresses of a host, which are connected to. The system's, if it is left out; a proxy
        resolves names itself.
    :param options: of ``HTTPAdapter``.
    """

    def __init__(self, settings: Settings, addresses_of: Resolve | None = None, **options: Any) -> None:
        self._settings = settings
        self._addresses_of = addresses_of
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request through the proxy of its route."""
        proxy = find_route(request.url or "", self._settings).proxy
        return super().send(request, *args, **kwargs | {"proxies": {"all": proxy.url} if proxy else {}})

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Choose the TLS context of a connection."""
        host, tls = super().build_connection_pool_key_attributes(request, verify=True, cert=cert)
        if host["scheme"] == "https":
            tls["ssl_context"] = find_ca_bundle(self._settings).tls_context("requests")
        return host, tls

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Choose the pool of connections, of which each checks addresses and limits its responses."""
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        if pool.ConnectionCls.response_class is not LimitedResponse:
            bases: tuple[type, ...] = (pool.ConnectionCls,)
            members: dict[str, Any] = {"response_class": LimitedResponse}
            if self._addresses_of is not None and find_route(request.url or "", self._settings).proxy is None:
                bases = (ResolvingConnection, *bases)
                members["addresses_of"] = staticmethod(self._addresses_of)
            pool.ConnectionCls = type("Connection", bases, members)
        return pool

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Load no CA bundle: the TLS context has it."""

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Verify a proxy that is itself reached by https with the same CA bundle."""
        if proxy.startswith("https://"):
            options["proxy_ssl_context"] = find_ca_bundle(self._settings).tls_context("requests")
        return super().proxy_manager_for(proxy, **options)

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """The URL's path as it is; ``requests`` 2.32 and 2.33 merge slashes at its start, which breaks a signature."""
        return request.path_url


class _PlainHttpAdapter(RouteAdapter):
    """Sends requests by plain http that oauthlib was shown as https: see :func:`https_alias`."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = "http" + (request.url or "").removeprefix("https")
        return super().send(request, *args, **kwargs)


def https_alias(url: str) -> str:
    """The URL to show oauthlib in place of a loopback ``http`` URL.

    oauthlib refuses plain http, unless an environment variable allows it for every host and the whole process.

    :param url: any URL.
    :return: the URL with ``https`` in place of ``http`` if the host is a loopback host, else the URL itself.
    """
    return "https" + url.removeprefix("http") if url.startswith("http://") and is_loopback(url) else url


class SafeSession(OAuth2Session):
    """An ``OAuth2Session`` for client credentials whose calls always end.

    A redirect is returned, not followed: it could carry the token or the client secret to another host. Failures are
    raised as this package's own errors, without the URL.

    :param settings: the Connection's settings.
    :param max_bytes: longest response body that is read; ``None`` for any. :meth:`request` accepts another.
    :param total_timeout: longest time of one call, in seconds; ``None`` for the Connection's.
    """

    def __init__(
        self, settings: Settings, max_bytes: int | None = None, total_timeout: float | None = None
    ) -> None:
        guard_library_logs()
        super().__init__(client=BackendApplicationClient(settings.client_id, scope=settings.scope))
        self.settings = settings
        self._max_bytes = max_bytes
        self._total_timeout = total_timeout or settings.total_timeout
        self.mount("https://", RouteAdapter(settings))
        for url in (settings.api_url, settings.auth_url):
            if (alias := https_alias(url)) != url:
                self.mount(f"https://{urlsplit(alias).netloc}/", _PlainHttpAdapter(settings))

    # The two base classes already disagree on the signature; all arguments but the URL are passed on.
    def request(  # type: ignore[override]  # see above
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send one request and, unless ``stream`` is true, read the whole response, within the total time.

        :raises OleriaConfigurationError: the URL, the proxy or the CA bundle cannot be used; nothing was sent.
        :raises OleriaInputError: the body is no JSON; nothing was sent.
        :raises OleriaUnreachableError: no connection was made; nothing was sent.
        :raises OleriaResponseLostError: the request may have arrived, but no complete response came.
        :raises OleriaProtocolError: the body of a 2xx or 3xx is longer than ``max_bytes``; that of an error is cut.
        """
        settings = self.settings
        route = find_route(url, settings)
        is_streamed = kwargs.get("stream")
        max_bytes = kwargs.pop("max_bytes", self._max_bytes)
        kwargs |= {"allow_redirects": False, "stream": True}
        kwargs["timeout"] = kwargs.get("timeout") or (settings.connect_timeout, settings.timeout)
        limit = ReadLimit(self._total_timeout)
        problem: OleriaError
        try:
            with read_limit(limit):
                response = super().request(method, self._alias(url), *args, **kwargs)
            if is_streamed:
                limit.lift()  # the caller reads the body, in its own time
            else:
                response = with_body(response, _read(response, max_bytes))
        except REQUESTS_ERRORS as error:
            problem = requests_failure(error, route)
        else:
            return response
        # Raised here, not above: the library's text, with the whole URL, would be chained to it.
        raise problem

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: ``requests`` would read the body of a redirect, also of one that is not followed."""

    def _alias(self, url: str) -> str:
        alias = https_alias(url)
        return alias if isinstance(self.get_adapter(alias), _PlainHttpAdapter) else url


def with_body(response: requests.Response, body: bytes) -> requests.Response:
    """A response with another body: ``requests`` has no public way to replace that of a response.

    :param response: for all but the body.
    :param body: its decoded bytes.
    """
    new = requests.Response()
    for name in (
        "status_code",
        "url",
        "headers",
        "encoding",
        "history",
        "reason",
        "cookies",
        "elapsed",
        "request",
    ):
        setattr(new, name, getattr(response, name))
    new.raw = io.BytesIO(body)
    return new


def too_long(url: str, max_bytes: int) -> OleriaProtocolError:
    """The error for a response body of more than ``max_bytes`` bytes."""
    return OleriaProtocolError(f"{urlsplit(url).netloc} sent a response of more than {max_bytes:,} bytes")


def _read(response: requests.Response, max_bytes: int | None) -> bytes:
    """Read the body within a length, which ``requests`` does not limit."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_SIZE):
        body += chunk
        if max_bytes is not None and len(body) > max_bytes:
            response.close()
            if not response.ok:
                return bytes(body[:max_bytes])  # its status is enough
            raise too_long(response.url, max_bytes)
    return bytes(body)
