"""What all who wait in one event loop share: one HTTP session, and every Connection, read once."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp
import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_oleria.api.rate_limit import gate
from airflow_provider_oleria.api.single_flight import SingleFlight
from airflow_provider_oleria.connection.settings import CONNECT_TIMEOUT, Settings, is_loopback

Read = Callable[[], Awaitable[Settings]]
"""Reads an Airflow Connection."""

CONNECTION_TTL: Final = 30.0
"""Seconds for which a Connection as it was read serves those who come new; later ones read it again, so that a change
needs no restart."""

MAX_IN_FLIGHT: Final = 50
"""Requests of one Connection in flight at once: thousands who wait need no more; a slow API is pressed no harder."""

KEEPALIVE_TIMEOUT: Final = 75.0
"""Seconds an idle connection stays open, if the API lets it: from one question to the next, also where pauses are a
minute long."""


@dataclass(frozen=True)
class Access:
    """How to call a tenant.

    :param settings: what the Connection says.
    :param options: limits, certificates and proxy that follow from it, as ``aiohttp`` takes them with each request.
    """

    settings: Settings
    options: Mapping[str, Any]


class CachedConnection:
    """An Airflow Connection as everybody in one event loop knows it.

    :param read: reads it.

    ``slots`` has room for as many requests as may be in flight at once.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._readings: SingleFlight[Access] = SingleFlight()
        self._access: Access | None = None
        self._read_at = 0.0

    @property
    def access(self) -> Access:
        """As last read."""
        assert self._access is not None, "it is entered before it is used"  # noqa: S101  # for the type checker
        return self._access

    async def enter(self) -> None:
        """Read it for somebody who comes new, unless that was done a moment ago."""
        if self._access is None or time.monotonic() - self._read_at >= CONNECTION_TTL:
            await self._readings.join(None, self._read_again)

    async def has_changed(self, used: Settings) -> bool:
        """Whether it says something else than what was used; read again, unless somebody else has done so since."""
        if self.access.settings == used:
            await self._readings.join(None, self._read_again)
        return self.access.settings != used

    async def at_open_gate(self) -> None:
        """Wait until the tenant may be called.

        The gate was open when a request queued up for its slot, but those before may have reached the rate limit since.
        """
        while (seconds := gate(self.access.settings.api_url).wait()) > 0:  # noqa: ASYNC110  # a time, no event
            await asyncio.sleep(seconds)

    async def _read_again(self) -> Access:
        settings = await self._read()
        # Reading a bundle of certificates takes tens of milliseconds: not on the event loop.
        self._access = Access(settings, await asyncio.to_thread(_options, settings))
        self._read_at = time.monotonic()
        return self._access


class LoopState:
    """What one event loop's waits have in common.

    The session keeps the connections to all tenants: which of them are alike, it tells from each request's options.
    """

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.users = 0
        self._connections: dict[str, CachedConnection] = {}

    def connection(self, conn_id: str, read: Read) -> CachedConnection:
        """The Connection of that id.

        :param read: reads it.
        """
        return self._connections.setdefault(conn_id, CachedConnection(read))


_shared: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, LoopState]] = WeakKeyDictionary()


@asynccontextmanager
async def shared() -> AsyncIterator[LoopState]:
    """What this event loop's waits share: made for the first of them, closed after the last."""
    loop = asyncio.get_running_loop()
    if (common := _shared.get(loop)) is None:
        common = _shared[loop] = LoopState()
    common.users += 1
    try:
        yield common
    finally:
        common.users -= 1
        if not common.users:
            del _shared[loop]
            await common.session.close()


def _options(settings: Settings) -> dict[str, Any]:
    """The same limits, proxies and certificates as the synchronous client has: requests has the rules."""
    environment = requests.Session().merge_environment_settings(
        settings.api_url, {}, stream=None, verify=settings.verify, cert=None
    )
    bundle = Path(environment["verify"] if isinstance(environment["verify"], str) else DEFAULT_CA_BUNDLE_PATH)
    return {
        "timeout": aiohttp.ClientTimeout(
            total=settings.total_timeout, connect=CONNECT_TIMEOUT, sock_read=settings.timeout
        ),
        "ssl": _tls_context(bundle, bundle.stat().st_mtime),
        "proxy": None
        if is_loopback(settings.api_url)
        else select_proxy(settings.api_url, environment["proxies"]),
    }


@lru_cache
def _tls_context(bundle: Path, _changed: float) -> ssl.SSLContext:
    """Kept: only requests with the same context share connections."""
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
