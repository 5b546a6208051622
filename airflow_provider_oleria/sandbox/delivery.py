"""How a response reaches the client: whole, throttled, cut short, stalled, late, or never.

In older aiohttp (3.11) a response is an empty mapping, and so counts as false: compare with ``None``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

_CHUNK = 1 << 18
_CHECK_INTERVAL = 0.05


class Body(web.StreamResponse):
    """A response with a part of a file, or with bytes, that may end too early."""

    def __init__(
        self,
        source: Path | bytes,
        offset: int,
        count: int,
        bytes_per_second: int | None = None,
        *,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = count
        self._source = source
        self._offset = offset
        self._count = count
        self._bytes_per_second = bytes_per_second
        self._broken = False
        self._closing: asyncio.Event | None = None

    def end_early(self, count: int, closing: asyncio.Event | None = None) -> None:
        """Send ``count`` bytes, then close the connection: at once, or when ``closing`` is set."""
        self._count, self._broken, self._closing = min(count, self._count), True, closing

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and body."""
        writer = await super().prepare(request)
        if self._count:  # sendfile() does not take 0
            await self._send(request)
        if self._broken:
            if self._closing is not None:
                await pause(request, None, self._closing)
            hang_up(request)
        return writer

    async def _send(self, request: BaseRequest) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client has left")
        loop = asyncio.get_running_loop()
        with BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb") as file:
            if isinstance(self._source, Path) and self.content_length and not self._bytes_per_second:
                await loop.sendfile(request.transport, file, self._offset, self._count)
                return
            file.seek(self._offset)
            speed = self._bytes_per_second or sys.maxsize
            step = max(1, min(_CHUNK, speed // 10))
            started, sent = loop.time(), 0
            while sent < self._count:
                piece = file.read(min(step, self._count - sent))
                await self.write(piece)
                sent += len(piece)
                await asyncio.sleep(started + sent / speed - loop.time())


class Nothing(web.StreamResponse):
    """No response: the connection closes."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Close the connection."""
        hang_up(request)
        raise ConnectionResetError("dropped on order")


def hang_up(request: BaseRequest) -> None:
    """Close the connection of a request."""
    if request.transport is not None:
        request.transport.close()


async def pause(request: BaseRequest, seconds: float | None, closing: asyncio.Event) -> None:
    """Wait, indefinitely if ``seconds`` is ``None``, while the client is connected and the sandbox is open."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    while not closing.is_set() and request.transport is not None:
        left = _CHECK_INTERVAL if end is None else min(_CHECK_INTERVAL, end - loop.time())
        if left <= 0:
            return
        try:
            await asyncio.wait_for(closing.wait(), left)
        except TimeoutError:
            continue
