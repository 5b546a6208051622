"""The synchronous driver of the flows: ``requests``, through ``OAuth2Session``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests

from airflow_provider_oleria.api.protocol import (
    CloseGate,
    Flow,
    FlowRun,
    RateLimitDelay,
    ReloadConnection,
    Request,
    Sleep,
    Step,
)
from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.responses import MAX_RESPONSE_BYTES, Response
from airflow_provider_oleria.api.tokens import TOKENS, OnMint, TokenCache
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net.redaction import clear_frames
from airflow_provider_oleria.net.session import SafeSession, https_alias

T = TypeVar("T")


class OleriaSession(SafeSession):
    """An ``OAuth2Session`` that sends this process's access token to the API, and to no other host.

    Paths such as ``/v1/downloads`` are completed with the API URL.

    :param settings: the Connection's settings.
    :param on_mint: called with each new token.
    :param tokens: the tokens of this process.
    """

    def __init__(self, settings: Settings, on_mint: OnMint, tokens: TokenCache = TOKENS) -> None:
        super().__init__(settings)
        self._on_mint = on_mint
        self._tokens = tokens

    @clear_frames
    def request(  # type: ignore[override]  # as in SafeSession
        self, method: str, url: str, *args: Any, deadline: float | None = None, **kwargs: Any
    ) -> requests.Response:
        """As ``OAuth2Session.request``. A token that the API refuses with 401 is not used again.

        :param deadline: of the caller, by ``time.monotonic()``: limits the wait for a token.
        :raises OleriaError: no token was issued, or no complete response arrived.
        """
        url = urljoin(self.settings.api_url + "/", url)
        if not https_alias(url).startswith(https_alias(self.settings.api_url) + "/"):
            return super().request(method, url, *args, **{**kwargs, "withhold_token": True})
        token = self._tokens.get(self.settings, self._on_mint, deadline)
        self.token = {"access_token": token.value, "token_type": "Bearer"}
        response = super().request(method, url, *args, **kwargs)
        if response.status_code == 401:
            self._tokens.drop(self.settings, token)
        return response


class Client:
    """Runs flows with ``requests``.

    :param settings: the Connection's settings.
    :param reload: reads the Connection again.
    :param on_mint: called with each new token.
    :param on_rate_limit: called for each 429.
    :param tokens: the tokens of this process.
    """

    def __init__(
        self,
        settings: Settings,
        reload: Callable[[], Settings],
        on_mint: OnMint,
        on_rate_limit: Callable[[], None],
        tokens: TokenCache = TOKENS,
    ) -> None:
        self.settings = settings
        self._reload = reload
        self._on_mint = on_mint
        self._on_rate_limit = on_rate_limit
        self._tokens = tokens
        self.session = OleriaSession(settings, on_mint, tokens)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow.

        :return: its result.
        :raises OleriaError: the flow failed.
        """
        run = FlowRun(flow)
        while run.step is not None:
            outcome: Any
            try:
                outcome = self._perform(run.step)
            except OleriaError as problem:
                outcome = problem
            run.advance(outcome)
        return run.result

    def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                return self._send(step)
            case RateLimitDelay():
                return gate(self.settings.api_url).wait() or self._tokens.delay(self.settings)
            case CloseGate(seconds, is_rate_limit):
                gate(self.settings.api_url).close(seconds)
                if is_rate_limit:
                    self._on_rate_limit()
            case Sleep(seconds):
                time.sleep(seconds)
            case ReloadConnection():
                old, self.settings = self.settings, self._reload()
                self.session = OleriaSession(self.settings, self._on_mint, self._tokens)
                return self.settings != old
        return None

    def _send(self, step: Request) -> Response:
        if step.method == "POST":
            # A POST is not repeated, and would be lost on an idle connection that the server has closed.
            self.session.close()
        response = self.session.request(
            step.method, step.path, json=step.json, deadline=step.deadline, max_bytes=MAX_RESPONSE_BYTES
        )
        return Response(response.status_code, response.headers, response.content)
