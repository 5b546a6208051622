"""What a check sends: as the package itself does, and, where it asks for something odd, beside that."""

from __future__ import annotations

from typing import Any, Final

import requests

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.client import Client
from airflow_provider_oleria.api.protocol import Response
from airflow_provider_oleria.api.tokens import TokenCache
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net.failures import REQUESTS_ERRORS, requests_failure
from airflow_provider_oleria.net.route import find_route
from airflow_provider_oleria.net.session import SafeSession

NO_TOKEN: Final = "Bearer not-a-token"  # noqa: S105  # nor a secret
"""Sent where a credential is to be refused, or is one too many: a real one is given to nobody but the API."""

_HEAD: Final = 64 * 1024
"""Bytes of a file that are looked at."""


class Calls:
    """The calls of one check.

    :param settings: the Connection's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = Client(settings, lambda: settings, lambda _token: None, lambda: None, TokenCache())
        self._bare = SafeSession(settings)

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        """A call as the package makes it, until it is answered with a 2xx.

        :raises OleriaError: what it came to instead.
        """
        return self._client.run(protocol.call(method, path, body))

    def once(self, path: str) -> Response:
        """A GET with a good token, whatever it is answered with.

        :raises OleriaError: there is no token, or no answer.
        """
        return _read(self._client.session.get(path))

    def with_bad_token(self, path: str) -> Response:
        """The same with something that is no token."""
        return self._send("GET", self._settings.api_url + path, headers={"Authorization": NO_TOKEN})

    def token(self, **changes: str | None) -> Response:
        """Ask for a token.

        :param changes: fields to send differently from what the Connection says; ``None`` leaves one out.
        """
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "scope": settings.scope,
            "audience": settings.audience,
        }
        # requests leaves out what is None.
        return self._send("POST", settings.auth_url, data=form | changes)

    def file(self, url: str, **headers: str) -> Response:
        """What the store answers, with no more than the beginning of the body.

        :param url: the presigned URL.
        :param headers: to send along, with ``_`` for ``-``.
        """
        named = {"Accept-Encoding": "identity"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        problem: OleriaError
        with self._bare.request("GET", url, headers=named, stream=True, withhold_token=True) as response:
            try:
                head = response.raw.read(_HEAD, decode_content=False)
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
