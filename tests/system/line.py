"""The line to the sandbox, which can be cut: connections are refused then, as when the API is down."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from airflow_provider_oleria.sandbox import Sandbox
from tests.servers.processes import free_port


class Line:
    """Forwards a port of its own to a sandbox.

    :param sandbox: at the other end.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.port = free_port()
        self._sandbox = sandbox
        self._to = int(sandbox.api_url.rpartition(":")[2])
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, name="line", daemon=True).start()
        self.restore()

    def connection(self) -> str:
        """The Connection to the sandbox by way of this line, with the secret that is valid now."""
        direct = self._sandbox.connection_json()
        return direct.replace(self._sandbox.api_url, f"http://127.0.0.1:{self.port}")

    def restore(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port, backlog=512)

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._writers -= ends


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(64 * 1024):
            target.write(data)
            await target.drain()
    target.close()
