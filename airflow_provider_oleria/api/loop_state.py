"""What the waits in one event loop share: one HTTP session, and each Connection, read once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp

from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.net.route import Route, find_route

ReadConnection = Callable[[], Awaitable[Settings]]
"""Reads an Airflow Connection."""

CONNECTION_TTL: Final = 30.0
"""How long a Connection, once read, is reused for new waits, in seconds. Edits apply after that, without a restart."""

MAX_IN_FLIGHT: Final = 50
"""Requests of one Connection in flight at once: enough for thousands of waits, and no burden for a slow API."""

KEEPALIVE_TIMEOUT: Final = 75.0
"""How long an idle connection is kept open, in seconds: longer than the longest default poll interval."""


@dataclass(frozen=True)
class Access:
    """How to call a tenant.

    :param settings: the Connection's settings.
    :param route: how the API is reached.
    :param options: timeouts, TLS context and proxy, as ``aiohttp`` takes them with each request.
    """

    settings: Settings
    route: Route
    options: Mapping[str, Any] = field(repr=False)  # the proxy's URL may hold a password


class CachedConnection:
    """An Airflow Connection, shared by all waits of an event loop.

    :param read: reads the Connection.

    ``slots`` limits the requests in flight.
    """

    def __init__(self, read: ReadConnection) -> None:
        self._read = read
        self.slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._access: Access | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    @property
    def access(self) -> Access:
        """The Connection as last read."""
        assert self._access is not None, "call refresh() first"  # noqa: S101  # for the type checker
        return self._access

    async def refresh(self, ttl: float = CONNECTION_TTL) -> None:
        """Read the Connection, unless it was read recently.

        :param ttl: how long ago that may be, in seconds.
        :raises OleriaConfigurationError: the Connection, the proxy or the CA bundle cannot be used.
        """
        if self._access is None or time.monotonic() - self._read_at >= ttl:
            await self._read_again()

    async def has_changed(self, used: Settings) -> bool:
        """Read the Connection again, unless another wait has done so since, and compare.

        :param used: the settings to compare with.
        """
        if self.access.settings == used:
            await self._read_again()
        return self.access.settings != used

    async def _read_again(self) -> None:
        """Read the Connection, or wait until another wait has read it."""
        if self._reading is None:
            # In a task of its own: a wait that is cancelled does not cancel it for the others.
            self._reading = asyncio.create_task(self._read_access())
            self._reading.add_done_callback(self._end_reading)
        await asyncio.shield(self._reading)

    async def _read_access(self) -> None:
        settings = await self._read()
        # Reading a CA bundle takes tens of milliseconds: not on the event loop.
        self._access = await asyncio.to_thread(_access, settings)
        self._read_at = time.monotonic()

    def _end_reading(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # asyncio logs an error that no wait has retrieved


class LoopState:
    """The HTTP session and the Connections of one event loop.

    The session keeps the connections to all tenants apart by the options of each request.
    """

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.users = 0
        self._connections: dict[str, CachedConnection] = {}

    def connection(self, conn_id: str, read: ReadConnection) -> CachedConnection:
        """The Connection with an id.

        :param conn_id: the id.
        :param read: reads the Connection, if it has not been used in this event loop.
        """
        return self._connections.setdefault(conn_id, CachedConnection(read))


_states: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, LoopState]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_state() -> AsyncIterator[LoopState]:
    """The state of the running event loop: created for its first wait, closed after its last."""
    loop = asyncio.get_running_loop()
    if (state := _states.get(loop)) is None:
        state = _states[loop] = LoopState()
    state.users += 1
    try:
        yield state
    finally:
        state.users -= 1
        if not state.users:
            del _states[loop]
            await state.session.close()


def _access(settings: Settings) -> Access:
    route = find_route(settings.api_url, settings, in_triggerer=True)
    options = {
        "timeout": aiohttp.ClientTimeout(
            total=settings.total_timeout, connect=settings.connect_timeout, sock_read=settings.timeout
        ),
        "ssl": route.ca_bundle.tls_context("aiohttp") if settings.api_url.startswith("https://") else True,
        "proxy": route.proxy and route.proxy.url,
    }
    return Access(settings, route, options)
