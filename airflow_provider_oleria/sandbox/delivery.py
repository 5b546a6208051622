"""How an answer reaches the client: whole, throttled, cut short, stalled, late, or never.

To older aiohttp (3.11) an answer is an empty mapping, and so counts as false: compare with ``None``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

_CHUNK = 1 << 18
_LOOK_EVERY = 0.05


class FileSlice(web.StreamResponse):
    """Part of a file, or all of it, straight from disk.

    :param path: the file.
    :param offset: the first byte to send.
    :param count: how many bytes to send.
    :param bytes_per_second: at most so many; ``None`` as fast as it goes.
    :param status: the HTTP status.
    :param headers: the headers, but for Content-Length.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        count: int,
        bytes_per_second: int | None = None,
        *,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = count
        self.path = path
        self.offset = offset
        self.count = count
        self.bytes_per_second = bytes_per_second

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and body."""
        writer = await super().prepare(request)
        await self.send(request, self, self.count)
        return writer

    async def send(self, request: BaseRequest, through: web.StreamResponse, count: int) -> None:
        """Send so many bytes of the body.

        :param request: what is answered.
        :param through: the answer whose headers are out already.
        :param count: how many bytes.
        """
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        if not count:  # sendfile() takes no zero
            return
        loop = asyncio.get_running_loop()
        with self.path.open("rb") as file:
            if self.bytes_per_second or through.content_length is None:
                await self._trickle(file, through, count, self.bytes_per_second or sys.maxsize)
            else:
                await loop.sendfile(transport, file, self.offset, count)

    async def _trickle(
        self, file: IO[bytes], through: web.StreamResponse, count: int, bytes_per_second: int
    ) -> None:
        loop = asyncio.get_running_loop()
        file.seek(self.offset)
        # Ten steps a second, so that a slow line is an even one.
        step = max(1, min(_CHUNK, bytes_per_second // 10))
        started, sent = loop.time(), 0
        while sent < count:
            piece = file.read(min(step, count - sent))
            await through.write(piece)
            sent += len(piece)
            await asyncio.sleep(started + sent / bytes_per_second - loop.time())


class Broken(web.StreamResponse):
    """An answer that announces all of its body and sends only the beginning.

    :param whole: the answer as it should have been.
    :param count: how many bytes of its body to send.
    :param closing: set when the sandbox closes.
    :param stalls: whether to keep the connection open afterwards, until the client leaves.
    """

    def __init__(
        self, whole: web.StreamResponse, count: int, closing: asyncio.Event, *, stalls: bool
    ) -> None:
        super().__init__(status=whole.status, headers=whole.headers)
        self._file = whole if isinstance(whole, FileSlice) else None
        body = whole.body if isinstance(whole, web.Response) else None
        text = body if isinstance(body, bytes) else b""
        self.content_length = self._file.count if self._file is not None else len(text)
        self._count = min(count, self.content_length)
        self._beginning = text[: self._count]
        self._closing = closing
        self._stalls = stalls

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and the beginning of the body, then break off."""
        writer = await super().prepare(request)
        if self._file is not None:
            await self._file.send(request, self, self._count)
        elif self._beginning:
            await self.write(self._beginning)
        if self._stalls:
            await pause(request, None, self._closing)
        hang_up(request)
        return writer


class Nothing(web.StreamResponse):
    """No answer: the connection closes."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Close the connection."""
        hang_up(request)
        raise ConnectionResetError("dropped on order")


def hang_up(request: BaseRequest) -> None:
    """Close the connection under a request."""
    if request.transport is not None:
        request.transport.close()


async def pause(request: BaseRequest, seconds: float | None, closing: asyncio.Event) -> None:
    """Wait, but no longer than the client or the sandbox does.

    :param request: whose client it is.
    :param seconds: how long; ``None`` for ever.
    :param closing: set when the sandbox closes.
    """
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    while not closing.is_set() and request.transport is not None:
        left = _LOOK_EVERY if end is None else min(_LOOK_EVERY, end - loop.time())
        if left <= 0:
            return
        try:
            await asyncio.wait_for(closing.wait(), left)
        except TimeoutError:
            continue
