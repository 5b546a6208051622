"""A line on which each connection sends at a fixed rate: ``python slow_line.py PORT TO_PORT BYTES_A_SECOND``.

Only what a client sends is slow, as on the way up to a store; the responses pass at full speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

_PAUSE = 0.02
"""Seconds between two reads of a connection."""


async def main(port: int, to_port: int, rate: int) -> None:
    """Forward until the process is ended."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
        await asyncio.gather(_send(reader, far_writer, rate), _receive(far_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", port)
    await server.serve_forever()


async def _send(source: asyncio.StreamReader, target: asyncio.StreamWriter, rate: int) -> None:
    free_at = time.monotonic()
    with contextlib.suppress(OSError):
        while data := await source.read(int(rate * _PAUSE)):
            target.write(data)
            await target.drain()
            free_at = max(free_at, time.monotonic() - _PAUSE) + len(data) / rate
            await asyncio.sleep(max(0.0, free_at - time.monotonic()))
    target.close()


async def _receive(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(256 * 1024):
            target.write(data)
            await target.drain()
    target.close()


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:])))
