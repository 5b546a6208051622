"""Access tokens: requested through ``OAuth2Session``, kept in the memory of this process, one request at a time.

Source: Oleria's token guide. A client-credentials grant has no refresh token: near expiry, a new token is requested.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import requests

from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.responses import FROM_A_PROXY, MAX_RESPONSE_BYTES, parse_object
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaConfigurationError,
    OleriaError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRequestError,
    OleriaResponseLostError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.net.backoff import RetryBudget, is_passing, retry_after
from airflow_provider_oleria.net.redaction import clear_frames, remember_token
from airflow_provider_oleria.net.session import SafeSession, https_alias, with_body

log = logging.getLogger(__name__)

EXPIRY_MARGIN: Final = 60.0
"""Seconds a token must be valid for to be used (Oleria's token guide)."""

DEFAULT_TOKEN_LIFETIME: Final = 300.0
"""Lifetime of a token, in seconds, if the response has none. A 401 ends it earlier."""

MAX_TOKEN_LIFETIME: Final = 24 * 3600.0

OnMint = Callable[[str], None]
"""Called with each new token, before it is used: to mask it in logs."""


@dataclass(frozen=True)
class Token:
    """An access token.

    :param value: the token.
    :param usable_until: by ``time.monotonic()``.
    """

    value: str = field(repr=False)
    usable_until: float


class TokenCache:
    """One token per set of credentials, for all threads and event loops of the process."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, Token] = {}
        self._mints: dict[bytes, Future[Token]] = {}
        self._outages: dict[bytes, RetryBudget] = {}

    @clear_frames
    def get(self, settings: Settings, on_mint: OnMint, deadline: float | None = None) -> Token:
        """A usable token. Only one caller requests a new one, the others wait for it.

        :param settings: whose credentials.
        :param on_mint: called with a new token.
        :param deadline: of the caller, by ``time.monotonic()``: limits the wait for a token.
        :raises OleriaAuthError: the credentials, the scope or the audience were refused.
        :raises OleriaOutageError: the token endpoint did not respond, or is temporarily unavailable.
        :raises OleriaProtocolError: the response is not a token.
        """
        if token := self._usable(settings):
            return token
        mint, is_mine = self._join(settings)
        timeout = _longest_wait(settings, deadline)
        if is_mine:
            self._run(mint, settings, on_mint, timeout)
        try:
            return mint.result(timeout)
        except OleriaError as problem:
            raise copy(problem) from None  # each caller raises an error, and a traceback, of its own
        except TimeoutError:
            raise _no_token_in_time(settings) from None

    async def aget(self, settings: Settings, on_mint: OnMint, deadline: float | None = None) -> Token:
        """As :meth:`get`, from an event loop. The request runs in a thread of its own.

        Not in the default executor: requests to hanging endpoints would take all of its threads.
        """
        if token := self._usable(settings):
            return token
        mint, is_mine = self._join(settings)
        timeout = _longest_wait(settings, deadline)
        if is_mine:
            run = contextvars.copy_context().run
            threading.Thread(
                target=run,
                args=(self._run, mint, settings, on_mint, timeout),
                name="oleria-token",
                daemon=True,
            ).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(mint), timeout)
        except OleriaError as problem:
            raise copy(problem) from None  # as above
        except TimeoutError:
            raise _no_token_in_time(settings) from None

    def delay(self, settings: Settings) -> float:
        """Seconds to wait before a token is requested: after a failure of the token endpoint. 0 means none."""
        return 0.0 if self._usable(settings) else gate(settings.auth_url).wait()

    def drop(self, settings: Settings, token: Token) -> None:
        """Remove a token that the API has refused, unless another caller has replaced it."""
        if self._tokens.get(settings.token_key) == token:
            self._tokens.pop(settings.token_key, None)

    def clear(self) -> None:
        """Remove all tokens, and what is known of outages."""
        self._tokens.clear()
        self._outages.clear()

    def forget_running(self) -> None:
        """In a child process: the threads that request tokens were not forked."""
        self._mints.clear()

    def _usable(self, settings: Settings) -> Token | None:
        token = self._tokens.get(settings.token_key)
        return token if token is not None and time.monotonic() < token.usable_until else None

    def _join(self, settings: Settings) -> tuple[Future[Token], bool]:
        """The running request for these credentials, and whether the caller must run it."""
        new: Future[Token] = Future()
        new.set_running_or_notify_cancel()  # a caller that is cancelled does not cancel it for the others
        running = self._mints.setdefault(settings.token_key, new)
        return running, running is new

    def _run(self, future: Future[Token], settings: Settings, on_mint: OnMint, timeout: float) -> None:
        key = settings.token_key
        try:
            # Another caller may have got one between the look at the cache and the start of this request.
            token = self._usable(settings)
            if token is None:
                token = self._tokens[key] = _mint_and_report(settings, on_mint, timeout)
        except BaseException as problem:
            if isinstance(problem, OleriaOutageError):
                # The callers share one back-off, however many there are.
                budget = self._outages.setdefault(key, RetryBudget(settings.retry))
                gate(settings.auth_url).close(budget.choose_delay(problem))
            self._mints.pop(key, None)
            future.set_exception(problem)
        else:
            self._outages.pop(key, None)
            self._mints.pop(key, None)
            future.set_result(token)


TOKENS: Final = TokenCache()
"""The tokens of this process."""

os.register_at_fork(after_in_child=TOKENS.forget_running)


def _mint_and_report(settings: Settings, on_mint: OnMint, timeout: float) -> Token:
    token = mint(settings, timeout)
    on_mint(token.value)
    return token


def _longest_wait(settings: Settings, deadline: float | None) -> float:
    """Seconds to wait for a token. One attempt gets its time, even after the deadline: a last poll needs a token."""
    if deadline is None:
        return settings.total_timeout
    return min(settings.total_timeout, max(deadline - time.monotonic(), settings.timeout))


def _no_token_in_time(settings: Settings) -> OleriaError:
    return OleriaUnavailableError(f"the token endpoint {settings.auth_url} did not respond in time")


def usable_until(requested_at: float, expires_in: float) -> float:
    """The moment until which a token is used.

    The lifetime is counted from before the request. A token that lives shorter than twice :data:`EXPIRY_MARGIN` is used
    for half its life.

    :param requested_at: in seconds, by any clock; the result is by the same.
    :param expires_in: seconds.
    """
    return requested_at + (expires_in - EXPIRY_MARGIN if expires_in >= 2 * EXPIRY_MARGIN else expires_in / 2)


@clear_frames
def mint(settings: Settings, timeout: float) -> Token:
    """Request a token once.

    :param settings: whose credentials.
    :param timeout: longest time for it in all, in seconds.
    :raises OleriaAuthError: the credentials, the scope or the audience were refused.
    :raises OleriaOutageError: the token endpoint did not respond, or is temporarily unavailable.
    :raises OleriaProtocolError: the response is not a token.
    """
    requested_at = time.monotonic()
    optional: dict[str, Any] = {"audience": settings.audience} if settings.audience else {}
    with SafeSession(settings, MAX_RESPONSE_BYTES, timeout) as session:
        session.register_compliance_hook("access_token_response", partial(_checked_response, settings))
        try:
            answer = session.fetch_token(
                https_alias(settings.auth_url),
                include_client_id=True,  # all four fields in the body: Oleria does not take HTTP Basic
                client_secret=settings.client_secret,
                **optional,
            )
        except OleriaResponseLostError as problem:
            # Only the token is lost: a request to the API that needs it was not sent.
            raise OleriaUnavailableError(str(problem)) from None
    remember_token(answer["access_token"])
    log.debug("Got a token for client %s, valid for %s s.", settings.client_id, answer["expires_in"])
    return Token(answer["access_token"], usable_until(requested_at, answer["expires_in"]))


def _checked_response(settings: Settings, response: requests.Response) -> requests.Response:
    """Check a response of the token endpoint before ``OAuth2Session`` reads it.

    oauthlib alone would read an HTML page as a form, fail on ``"expires_in": "3600"``, and raise a bare ``Warning``
    with the token in it if the scope differs. No text of the response gets into an error: it may repeat the secret.
    """
    if not response.ok or response.is_redirect:
        raise _refusal(settings, response)
    if not response.content:
        # A connection that closes before a body of unknown length looks like this.
        raise OleriaUnavailableError(
            f"the token endpoint {settings.auth_url} answered {response.status_code} without a body"
        )
    answer = parse_object(response.content) or {}
    value = answer.get("access_token")
    if not isinstance(value, str) or not value:
        raise OleriaProtocolError(
            f"the token endpoint {settings.auth_url} answered {response.status_code} without an access token. "
            "Is this the Authentication URL?"
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise OleriaProtocolError(
            f"the token endpoint {settings.auth_url} issued an access token with characters that no HTTP header "
            "can carry"
        )
    _check_scope(settings, answer.get("scope"))
    clean = {
        "access_token": value,
        "token_type": "Bearer",
        "expires_in": _lifetime(answer.get("expires_in")),
    }
    return with_body(response, json.dumps(clean).encode())


def _check_scope(settings: Settings, granted: object) -> None:
    if isinstance(granted, str) and granted and not set(settings.scope.split()) <= set(granted.split()):
        raise OleriaAuthError(
            f"the token endpoint granted another scope than {settings.scope!r}. "
            "Correct the Connection's extra 'scope', or the scopes of the OAuth application"
        )


def _lifetime(expires_in: object) -> int:
    """Whole seconds: oauthlib accepts nothing else."""
    try:
        lifetime = float(expires_in) if isinstance(expires_in, str | int | float) else DEFAULT_TOKEN_LIFETIME
    except (ValueError, OverflowError):
        lifetime = DEFAULT_TOKEN_LIFETIME
    lifetime = lifetime if math.isfinite(lifetime) else DEFAULT_TOKEN_LIFETIME
    if lifetime < 1:
        raise OleriaProtocolError("the token endpoint issued a token that has already expired")
    return int(min(lifetime, MAX_TOKEN_LIFETIME))


_REMEDIES: Final = {
    "invalid_client": (
        "client_id or client_secret is wrong, or not active in this environment. "
        "Compare both with Oleria: Settings → Manage APIs"
    ),
    "invalid_request": "a required field is missing or misspelled. Check client_id, client_secret, scope and audience",
    "invalid_scope": "the scope is not known or not granted. Check the Connection's extra 'scope'",
    "invalid_grant": "the client credentials were not accepted. Check client_id and client_secret",
    "unauthorized_client": "this OAuth application may not use client credentials",
    "unsupported_grant_type": "the token endpoint does not offer client credentials. Is this the Authentication URL?",
}
"""The error codes of RFC 6749, section 5.2."""

_PASSING: Final = re.compile(
    rb"TooManyRequests|Throttl|LimitExceeded|slow_down|temporarily_unavailable|server_error"
)
"""How token endpoints report throttling and faults of their own with another status: AWS Cognito answers 400."""


def _refusal(settings: Settings, response: requests.Response) -> OleriaError:
    status = response.status_code
    text = f"the token endpoint {settings.auth_url} answered {status}"
    code = (parse_object(response.content) or {}).get("error")
    if status in FROM_A_PROXY:
        return OleriaConfigurationError(f"{text}. {FROM_A_PROXY[status]}")
    if isinstance(code, str) and code in _REMEDIES and not is_passing(status):
        return OleriaAuthError(f"{text} {code}: {_REMEDIES[code]}")
    kind = response.headers.get("x-amzn-ErrorType", "").encode()
    if is_passing(status) or _PASSING.search(kind + response.content):
        problem = OleriaUnavailableError(text)
        problem.retry_after = retry_after(response.headers, time.time())
        return problem
    if status in (400, 401):
        return OleriaAuthError(
            f"{text} without an OAuth error. Check client_id, client_secret and 'auth_url'"
        )
    return OleriaRequestError(f"{text}. Is extra 'auth_url' the Authentication URL?")
