"""The synchronous driver of a conversation: ``requests``, through ``OAuth2Session``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests

from airflow_provider_oleria.api.protocol import (
    Flow,
    RateLimitDelay,
    ReloadConnection,
    Request,
    Response,
    Sleep,
    Step,
)
from airflow_provider_oleria.api.rate_limit import gate, taken_at_gate
from airflow_provider_oleria.api.tokens import TOKENS, Mask, TokenCache
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net.redaction import clear_frames
from airflow_provider_oleria.net.session import SafeSession, oauthlib_url

T = TypeVar("T")


class OleriaSession(SafeSession):
    """An ``OAuth2Session`` that carries this process's current token to the API, and to no other host.

    Paths such as ``/v1/downloads`` are completed with the API URL.

    :param settings: the Connection's settings.
    :param mask: told each newly minted token.
    :param tokens: where the tokens are.
    """

    def __init__(self, settings: Settings, mask: Mask, tokens: TokenCache = TOKENS) -> None:
        super().__init__(settings)
        self._mask = mask
        self._tokens = tokens

    @clear_frames
    def request(  # type: ignore[override]  # as in SafeSession
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As ``OAuth2Session.request``; a token the API answers 401 to is not used again.

        :raises OleriaError: there is no token, or no whole answer.
        """
        url = urljoin(self.settings.api_url + "/", url)
        if not oauthlib_url(url).startswith(oauthlib_url(self.settings.api_url) + "/"):
            return super().request(method, url, *args, **{**kwargs, "withhold_token": True})
        token = self._tokens.get(self.settings, self._mask)
        self.token = {"access_token": token.value, "token_type": "Bearer"}
        response = super().request(method, url, *args, **kwargs)
        if response.status_code == 401:
            self._tokens.drop(self.settings, token)
        return response


class Client:
    """Carries out what a conversation asks for, with ``requests``.

    :param settings: the Connection's settings.
    :param reread: reads the Connection again.
    :param mask: told each newly minted token.
    :param tokens: where the tokens are.
    """

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings], mask: Mask, tokens: TokenCache = TOKENS
    ) -> None:
        self._reread = reread
        self._mask = mask
        self._tokens = tokens
        self._settings = settings
        self.session = OleriaSession(settings, mask, tokens)

    def run(self, conversation: Flow[T]) -> T:
        """Drive a conversation to its end.

        :raises OleriaError: what the conversation came to.
        """
        try:
            step = next(conversation)
            while True:
                try:
                    result = self._perform(step)
                except OleriaError as problem:
                    step = conversation.throw(problem)
                else:
                    step = conversation.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration does not carry the generator's type

    def _perform(self, step: Step) -> Any:
        match step:
            case Request(method, path, body):
                if method == "POST":
                    # A kept connection the other side has closed would lose the answer of a call not to be repeated.
                    self.session.close()
                response = self.session.request(method, path, json=body)
                return Response(response.status_code, response.headers, response.content)
            case RateLimitDelay():
                return gate(self._settings.api_url).wait()
            case Sleep():
                if not taken_at_gate(step, self._settings.api_url):
                    time.sleep(step.seconds)
                return None
            case ReloadConnection():
                old, self._settings = self._settings, self._reread()
                self.session = OleriaSession(self._settings, self._mask, self._tokens)
                return self._settings != old
