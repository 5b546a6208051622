"""Access tokens: minted through ``OAuth2Session``, kept in this process's memory, one mint at a time.

Source: Oleria's token guide. A client-credentials grant has no refresh token: near its end a token is minted anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from airflow_provider_oleria.api.single_flight import SingleFlight
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.net.backoff import RetryBudget, retry_after
from airflow_provider_oleria.net.redaction import clear_frames, excerpt
from airflow_provider_oleria.net.session import SafeSession, oauthlib_url

log = logging.getLogger(__name__)

EXPIRY_MARGIN: Final = 60.0
"""Seconds that must be left of a token for it to be used (Oleria's token guide)."""

DEFAULT_TOKEN_LIFETIME: Final = 300.0
"""Seconds a token is taken to live when the answer does not say; a 401 ends it earlier."""

Mask = Callable[[str], None]
"""Told each new token, so that it can be masked in logs."""


@dataclass(frozen=True)
class Token:
    """An access token and the moment (epoch seconds) until which it is used."""

    value: str = field(repr=False)
    usable_until: float


class TokenCache:
    """One token per set of credentials, however many threads and event loops ask.

    :param mint: gets a new one.
    """

    def __init__(self, mint: Callable[[Settings], Token]) -> None:
        self._mint = mint
        self._tokens: dict[bytes, Token] = {}
        self._locks: dict[bytes, threading.Lock] = {}
        self._mints: SingleFlight[Token] = SingleFlight()

    @clear_frames
    def get(self, settings: Settings, mask: Mask) -> Token:
        """A usable token, minted if there is none.

        :param settings: whose credentials.
        :param mask: called with a newly minted token before anything else happens to it.
        :raises OleriaAuthError: the credentials, the scope or the audience were refused.
        :raises OleriaRetriesExhaustedError: the token endpoint is out.
        :raises OleriaProtocolError: its answer is none.
        """
        key = settings.token_key
        if token := self._usable(key):
            return token
        with self._locks.setdefault(key, threading.Lock()):
            if not (token := self._usable(key)):
                token = self._mint(settings)
                mask(token.value)
                self._tokens[key] = token
        return token

    async def aget(self, settings: Settings, mask: Mask) -> Token:
        """The same from an event loop: one thread mints, nothing blocks; all who wait get its token, or its error."""
        key = settings.token_key
        if token := self._usable(key):
            return token
        return await self._mints.join(key, lambda: asyncio.to_thread(self.get, settings, mask))

    def drop(self, settings: Settings, token: Token) -> None:
        """Forget a token the API refused, unless another caller has replaced it already."""
        key = settings.token_key
        if self._tokens.get(key) == token:
            self._tokens.pop(key, None)

    def clear(self) -> None:
        """Forget all tokens."""
        self._tokens.clear()

    def _usable(self, key: bytes) -> Token | None:
        token = self._tokens.get(key)
        return token if token is not None and time.time() < token.usable_until else None


def usable_until(requested_at: float, expires_in: float) -> float:
    """The moment (epoch seconds) a token is used until.

    The lifetime is counted from before the request. A token that lives shorter than twice :data:`EXPIRY_MARGIN` is used
    for half its life.
    """
    return requested_at + (expires_in - EXPIRY_MARGIN if expires_in >= 2 * EXPIRY_MARGIN else expires_in / 2)


def mint_with_retries(settings: Settings) -> Token:
    """As :func:`mint`, again and again while the token endpoint is out.

    :raises OleriaRetriesExhaustedError: it is out for good.
    """
    patience = RetryBudget()
    while True:
        try:
            return mint(settings)
        except OleriaOutageError as problem:
            pause = patience.next_delay(problem)
            log.warning("No token yet: %s. Next attempt in %.1f s.", problem, pause)
        time.sleep(pause)


TOKENS: Final = TokenCache(mint_with_retries)
"""This process's tokens."""


@clear_frames
def mint(settings: Settings) -> Token:
    """Ask the token endpoint once.

    :param settings: whose credentials.
    :raises OleriaAuthError: the credentials, the scope or the audience were refused.
    :raises OleriaOutageError: it gave no answer, or none that counts.
    :raises OleriaProtocolError: its answer is none.
    """
    requested_at = time.time()
    optional: dict[str, Any] = {"audience": settings.audience} if settings.audience else {}
    with SafeSession(settings) as session:
        session.register_compliance_hook("access_token_response", _checked_answer(settings))
        answer = session.fetch_token(
            oauthlib_url(settings.auth_url),
            include_client_id=True,  # all four fields in the body: Oleria does not take HTTP Basic
            client_secret=settings.client_secret,
            **optional,
        )
    log.debug("Minted a token for client %s, good for %s s.", settings.client_id, answer["expires_in"])
    return Token(answer["access_token"], usable_until(requested_at, answer["expires_in"]))


def _checked_answer(settings: Settings) -> Callable[[requests.Response], requests.Response]:
    """What ``OAuth2Session`` is to read of the token endpoint's answer.

    oauthlib alone would take an HTML page for a form, stumble over ``"expires_in": "3600"``, and raise a bare
    ``Warning`` with the token in it when the scope differs.
    """

    def check(response: requests.Response) -> requests.Response:
        if not response.ok or response.is_redirect:
            raise _refusal(settings, response)
        answer = _as_object(response.content)
        if answer is None or not isinstance(answer.get("access_token"), str) or not answer["access_token"]:
            raise OleriaProtocolError(
                f"the token endpoint {settings.auth_url} answered {response.status_code} without an access token. "
                f"Is this the Authentication URL? It said: {excerpt(response.content)}"
            )
        _check_scope(settings, answer.get("scope"))
        clean = {
            "access_token": answer["access_token"],
            "token_type": "Bearer",
            "expires_in": _life(answer.get("expires_in")),
        }
        response._content = json.dumps(clean).encode()
        return response

    return check


def _check_scope(settings: Settings, granted: object) -> None:
    if isinstance(granted, str) and granted and not set(settings.scope.split()) <= set(granted.split()):
        raise OleriaAuthError(
            f"the token endpoint granted scope {granted!r} where {settings.scope!r} was asked for. "
            "Correct the Connection's extra 'scope', or the scopes of the OAuth application"
        )


def _life(expires_in: object) -> int:
    """Seconds, whole: oauthlib takes nothing else."""
    try:
        life = (
            int(float(expires_in))
            if isinstance(expires_in, str | int | float)
            else int(DEFAULT_TOKEN_LIFETIME)
        )
    except (ValueError, OverflowError):
        life = int(DEFAULT_TOKEN_LIFETIME)
    if life <= 0:
        raise OleriaProtocolError(
            f"the token endpoint gave out a token that has expired already ({expires_in=})"
        )
    return life


_REMEDIES: Final = {
    "invalid_client": (
        "client_id or client_secret is wrong, or not active in this environment. "
        "Compare both with Oleria: Settings → Manage APIs"
    ),
    "invalid_request": "a required field is missing or misspelled. Check client_id, client_secret, scope and audience",
    "invalid_scope": "the scope is not known or not granted. Check the Connection's extra 'scope'",
    "unauthorized_client": "this OAuth application may not use client credentials",
}


def _refusal(settings: Settings, response: requests.Response) -> Exception:
    status = response.status_code
    said = f"the token endpoint {settings.auth_url} answered {status}"
    if status == 429 or status >= 500:
        problem = OleriaUnavailableError(said)
        problem.retry_after = retry_after(response.headers, time.time())
        return problem
    code = str((_as_object(response.content) or {}).get("error", ""))
    if code in _REMEDIES or status in (400, 401):
        return OleriaAuthError(f"{said} {code}: {_REMEDIES.get(code, excerpt(response.content))}")
    return OleriaRequestError(
        f"{said}. Is extra 'auth_url' the Authentication URL? It said: {excerpt(response.content)}"
    )


def _as_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
