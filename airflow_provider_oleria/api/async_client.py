"""The asynchronous driver of the flows: ``aiohttp``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from airflow_provider_oleria.api.loop_state import CachedConnection, ReadConnection, shared_state
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
from airflow_provider_oleria.api.tokens import TOKENS, OnMint
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net.failures import aiohttp_failure
from airflow_provider_oleria.net.redaction import clear_frames
from airflow_provider_oleria.net.session import too_long

T = TypeVar("T")


class AsyncClient:
    """Runs flows with ``aiohttp``.

    :param session: the event loop's.
    :param connection: the Airflow Connection, as this event loop has read it.
    :param on_mint: called with each new token, in a thread.
    :param on_rate_limit: called for each 429.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        connection: CachedConnection,
        on_mint: OnMint,
        on_rate_limit: Callable[[], None],
    ) -> None:
        self._session = session
        self._connection = connection
        self._on_mint = on_mint
        self._on_rate_limit = on_rate_limit
        self._used = connection.access.settings

    @property
    def settings(self) -> Settings:
        """The Connection's settings, as last read."""
        return self._connection.access.settings

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow.

        :return: its result.
        :raises OleriaError: the flow failed.
        """
        run = FlowRun(flow)
        while run.step is not None:
            # No variable keeps the outcome: it may be a large response, and thousands of waits sleep next.
            run.advance(await self._outcome(run.step))
        return run.result

    async def _outcome(self, step: Step) -> Any:
        try:
            return await self._perform(step)
        except OleriaError as problem:
            return problem

    async def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                return await self._send(step)
            case RateLimitDelay():
                return gate(self.settings.api_url).wait() or TOKENS.delay(self.settings)
            case CloseGate(seconds, is_rate_limit):
                gate(self.settings.api_url).close(seconds)
                if is_rate_limit:
                    self._on_rate_limit()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case ReloadConnection():
                return await self._connection.has_changed(self._used)
        return None

    @asynccontextmanager
    async def _session_for(self, step: Request) -> AsyncIterator[aiohttp.ClientSession]:
        if step.method != "POST":
            yield self._session
            return
        # A POST is not repeated, and would be lost on an idle connection that the server has closed.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield session

    @clear_frames
    async def _send(self, step: Request) -> Response | None:
        access = self._connection.access
        settings = self._used = access.settings
        token = await TOKENS.aget(settings, self._on_mint, step.deadline)
        url = settings.api_url + step.path
        problem: OleriaError
        try:
            async with self._connection.slots, self._session_for(step) as session:
                if gate(settings.api_url).is_closed:  # since the request queued for its slot
                    return None
                async with session.request(
                    step.method,
                    url,
                    json=step.json,
                    headers={"Authorization": f"Bearer {token.value}"},
                    allow_redirects=False,
                    **access.options,
                ) as response:
                    answer = Response(response.status, response.headers, await _read(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = aiohttp_failure(error, access.route)
        else:
            if answer.status == 401:
                TOKENS.drop(settings, token)
            return answer
        raise problem


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            if not response.ok:
                return bytes(body[:MAX_RESPONSE_BYTES])  # its status is enough
            raise too_long(str(response.url), MAX_RESPONSE_BYTES)
    return bytes(body)


@asynccontextmanager
async def async_client(
    conn_id: str, read: ReadConnection, on_mint: OnMint, on_rate_limit: Callable[[], None]
) -> AsyncIterator[AsyncClient]:
    """A client with the session and Connections that its event loop shares.

    :param conn_id: of the Airflow Connection.
    :param read: reads it.
    :param on_mint: called with each new token, in a thread.
    :param on_rate_limit: called for each 429.
    """
    async with shared_state() as state:
        connection = state.connection(conn_id, read)
        await connection.refresh()
        yield AsyncClient(state.session, connection, on_mint, on_rate_limit)
