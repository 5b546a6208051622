"""The two drivers of a conversation: ``requests`` (through ``OAuth2Session``) and ``aiohttp``."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

import aiohttp
import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_oleria.api.conversation import (
    Answer,
    Conversation,
    Pause,
    RereadConnection,
    Send,
    Step,
    Turn,
)
from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.tokens import TOKENS, Mask, TokenCache
from airflow_provider_oleria.api.transport import BoundedSession, secure_face
from airflow_provider_oleria.connection import CONNECT_TIMEOUT, Settings, is_loopback
from airflow_provider_oleria.errors import OleriaError, OleriaOutageError
from airflow_provider_oleria.faults import fault

log = logging.getLogger(__name__)

T = TypeVar("T")


class OleriaSession(BoundedSession):
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

    def request(  # type: ignore[override]  # as in BoundedSession
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As ``OAuth2Session.request``; a token the API answers 401 to is not used again.

        :raises OleriaError: there is no token, or no whole answer.
        """
        url = urljoin(self.settings.api_url + "/", url)
        if not secure_face(url).startswith(secure_face(self.settings.api_url) + "/"):
            return super().request(method, url, *args, **{**kwargs, "withhold_token": True})
        value = self._tokens.get(self.settings, self._mask)
        self.token = {"access_token": value, "token_type": "Bearer"}
        response = super().request(method, url, *args, **kwargs)
        if response.status_code == 401:
            self._tokens.drop(self.settings, value)
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

    def run(self, conversation: Conversation[T]) -> T:
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
            case Send(method, path, body):
                if method == "POST":
                    # A kept connection the other side has closed would lose the answer of a call not to be repeated.
                    self.session.close()
                response = self.session.request(method, path, json=body)
                return Answer(response.status_code, response.headers, response.content)
            case Turn():
                return gate(self._settings.api_url).wait()
            case Pause():
                if not _shared(step, self._settings):
                    time.sleep(step.seconds)
                return None
            case RereadConnection():
                old, self._settings = self._settings, self._reread()
                self.session = OleriaSession(self._settings, self._mask, self._tokens)
                return self._settings != old


class AsyncClient:
    """Carries out what a conversation asks for, with ``aiohttp``. An async context manager.

    :param settings: the Connection's settings.
    :param reread: reads the Connection again.
    :param mask: told each newly minted token, in a thread.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Awaitable[Settings]], mask: Mask) -> None:
        self._reread = reread
        self._mask = mask
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._close()

    async def run(self, conversation: Conversation[T]) -> T:
        """Drive a conversation to its end.

        :raises OleriaError: what the conversation came to.
        """
        try:
            step = next(conversation)
            while True:
                try:
                    result = await self._perform(step)
                except OleriaError as problem:
                    step = conversation.throw(problem)
                else:
                    step = conversation.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration does not carry the generator's type

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._send(step)
            case Turn():
                return gate(self._settings.api_url).wait()
            case Pause():
                if not _shared(step, self._settings):
                    await asyncio.sleep(step.seconds)
                return None
            case RereadConnection():
                old, self._settings = self._settings, await self._reread()
                await self._close()
                return self._settings != old

    async def _send(self, step: Send) -> Answer:
        settings = self._settings
        if self._session is None:
            self._session = await _open(settings)
        value = await TOKENS.aget(settings, self._mask)
        url = settings.api_url + step.path
        problem: OleriaOutageError
        try:
            async with self._session.request(
                step.method,
                url,
                json=step.json,
                headers={"Authorization": f"Bearer {value}"},
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            not_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            problem = fault(error, url, arrived=not not_sent)
        else:
            if answer.status == 401:
                TOKENS.drop(settings, value)
            return answer
        raise problem

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _open(settings: Settings) -> aiohttp.ClientSession:
    """A session with the same limits, proxies and certificates as the sync one: requests has the rules."""
    environment = requests.Session().merge_environment_settings(
        settings.api_url, {}, stream=None, verify=settings.verify, cert=None
    )
    proxy = None if is_loopback(settings.api_url) else select_proxy(settings.api_url, environment["proxies"])
    bundle = environment["verify"] if isinstance(environment["verify"], str) else DEFAULT_CA_BUNDLE_PATH
    # Reading a bundle of certificates takes tens of milliseconds: not on the event loop.
    context = await asyncio.to_thread(_tls_context, Path(bundle))
    limits = aiohttp.ClientTimeout(
        total=settings.total_timeout, connect=CONNECT_TIMEOUT, sock_read=settings.timeout
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=limits,
        proxy=proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _tls_context(bundle: Path) -> ssl.SSLContext:
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _shared(pause: Pause, settings: Settings) -> bool:
    """Log a pause; one that is for all is taken at the tenant's gate, by whoever asked for it too."""
    if pause.reason is None:
        log.debug("Asking again in %.1f s.", pause.seconds)
    else:
        log.warning("%s. Next attempt in %.1f s.", pause.reason, pause.seconds)
    if pause.for_all:
        gate(settings.api_url).close(pause.seconds)
    return pause.for_all
