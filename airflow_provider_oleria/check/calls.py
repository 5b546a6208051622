"""The requests of a check: those of the package itself, and unusual ones."""

from __future__ import annotations

from typing import Any, Final

import requests

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.client import Client
from airflow_provider_oleria.api.responses import Response
from airflow_provider_oleria.api.tokens import TokenCache
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net.addresses import Resolve, check_presigned_url, checked, resolve
from airflow_provider_oleria.net.failures import REQUESTS_ERRORS, requests_failure
from airflow_provider_oleria.net.redaction import remember_token
from airflow_provider_oleria.net.route import find_route
from airflow_provider_oleria.net.session import RouteAdapter, SafeSession

NO_TOKEN: Final = "Bearer not-a-token"  # noqa: S105  # nor a secret
"""Sent where a credential must be refused. A real one is sent to the API alone."""

_HEAD_SIZE: Final = 64 * 1024
"""Bytes of a file that are examined."""


class Calls:
    """The requests of one check.

    :param settings: the Connection's settings.
    :param find_addresses: resolves the store's name.
    """

    def __init__(self, settings: Settings, find_addresses: Resolve = resolve) -> None:
        self._settings = settings
        self._client = Client(settings, lambda: settings, lambda _token: None, lambda: None, TokenCache())
        self._bare = SafeSession(settings)
        self._store = SafeSession(settings)
        for scheme in ("https://", "http://"):
            self._store.mount(scheme, RouteAdapter(settings, checked(find_addresses, settings)))

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        """Send a request as the package does, with its retries.

        :return: the successful response.
        :raises OleriaError: if the request fails for good.
        """
        return self._client.run(protocol.call(method, path, body))

    def once(self, path: str) -> Response:
        """Send a GET with a valid token, without retries.

        :raises OleriaError: there is no token, or no response.
        """
        return _read(self._client.session.get(path))

    def with_bad_token(self, path: str) -> Response:
        """Send a GET with an invalid token."""
        return self._send("GET", self._settings.api_url + path, headers={"Authorization": NO_TOKEN})

    def token(self, **changes: str | None) -> Response:
        """Request a token.

        :param changes: fields that differ from the Connection's; ``None`` leaves one out.
        """
        settings = self._settings
        form = {"grant_type": "client_credentials", "scope": settings.scope, "audience": settings.audience}
        form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
        response = self._send("POST", settings.auth_url, data=form | changes)  # requests leaves out None
        remember_token(str((response.json or {}).get("access_token", "")))
        return response

    def file(self, url: str, **headers: str) -> Response:
        """Send a GET to the store, and read no more than the beginning of the body.

        :param url: the presigned URL.
        :param headers: more headers, with ``_`` for ``-``.
        """
        check_presigned_url(url, self._settings)
        named = {"Accept-Encoding": "identity"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        problem: OleriaError
        with self._store.request("GET", url, headers=named, stream=True, withhold_token=True) as response:
            try:
                head = response.raw.read(_HEAD_SIZE, decode_content=False)
            except REQUESTS_ERRORS as error:
                problem = requests_failure(error, find_route(url, self._settings))
            else:
                return Response(response.status_code, response.headers, head)
        # Raised here, not above: the library's own text has the whole URL.
        raise problem

    def _send(self, method: str, url: str, **options: Any) -> Response:
        return _read(self._bare.request(method, url, withhold_token=True, **options))


def _read(response: requests.Response) -> Response:
    return Response(response.status_code, response.headers, response.content)
