"""The asynchronous driver of a conversation: ``aiohttp``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from airflow_provider_oleria.api.loop_state import CachedConnection, Read, shared
from airflow_provider_oleria.api.polling import aligned
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
from airflow_provider_oleria.api.tokens import TOKENS, Mask
from airflow_provider_oleria.exceptions import OleriaError, OleriaOutageError
from airflow_provider_oleria.net.failures import fault
from airflow_provider_oleria.net.redaction import clear_frames

T = TypeVar("T")


class AsyncClient:
    """Carries out what a conversation asks for, with ``aiohttp``.

    :param session: the event loop's.
    :param connection: as the event loop knows it.
    :param mask: told each newly minted token, in a thread.
    """

    def __init__(self, session: aiohttp.ClientSession, connection: CachedConnection, mask: Mask) -> None:
        self._session = session
        self._connection = connection
        self._mask = mask
        self._used = connection.access.settings

    async def run(self, conversation: Flow[T]) -> T:
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
            case Request():
                return await self._send(step)
            case RateLimitDelay():
                return gate(self._connection.access.settings.api_url).wait()
            case Sleep():
                if not taken_at_gate(step, self._connection.access.settings.api_url):
                    await asyncio.sleep(aligned(step.seconds, asyncio.get_running_loop().time()))
                return None
            case ReloadConnection():
                return await self._connection.has_changed(self._used)

    @clear_frames
    async def _send(self, step: Request) -> Response:
        access = self._connection.access
        settings = self._used = access.settings
        token = await TOKENS.aget(settings, self._mask)
        url = settings.api_url + step.path
        problem: OleriaOutageError
        try:
            async with self._connection.slots:
                await self._connection.at_open_gate()
                async with self._session.request(
                    step.method,
                    url,
                    json=step.json,
                    headers={"Authorization": f"Bearer {token.value}"},
                    allow_redirects=False,
                    **access.options,
                ) as response:
                    answer = Response(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            not_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            problem = fault(error, url, arrived=not not_sent)
        else:
            if answer.status == 401:
                TOKENS.drop(settings, token)
            return answer
        raise problem


@asynccontextmanager
async def async_client(conn_id: str, read: Read, mask: Mask) -> AsyncIterator[AsyncClient]:
    """A client over what the event loop shares.

    :param conn_id: of the Airflow Connection.
    :param read: reads it.
    :param mask: told each newly minted token, in a thread.
    """
    async with shared() as common:
        connection = common.connection(conn_id, read)
        await connection.enter()
        yield AsyncClient(common.session, connection, mask)
