"""Gzip with two threads, as pigz does it: one stream, whose blocks are compressed in parallel."""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

_LEVEL: Final = 6
_THREADS: Final = 2
_BLOCK_SIZE: Final = 512 * 1024
_DICTIONARY_SIZE: Final = 32 * 1024
"""Bytes of the previous block that a block may refer to: the window of deflate."""

_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"
"""Neither name nor time: the same CSV gives the same file."""


class GzipWriter:
    """Writes what it receives as gzip.

    :param write: receives the bytes of the file, in the caller's thread.
    """

    row_count = None
    type_errors = 0

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(_THREADS, "oleria-gzip")
        self._blocks: deque[Future[bytes]] = deque()
        self._waiting = bytearray()
        self._dictionary = b""
        self._checksum = 0
        self._size = 0
        self._pending_header = _HEADER

    def write(self, chunk: bytes, /) -> None:
        """Compress the next chunk, once there is a block of it."""
        self._waiting += chunk
        while len(self._waiting) >= _BLOCK_SIZE:
            self._compress(bytes(self._waiting[:_BLOCK_SIZE]))
            del self._waiting[:_BLOCK_SIZE]
            self._write_blocks(at_most_waiting=_THREADS)

    def close(self) -> None:
        """Write the rest and the trailer."""
        self._compress(bytes(self._waiting), last=True)
        self._write_blocks(at_most_waiting=0)
        self._write(struct.pack("<LL", self._checksum, self._size & 0xFFFFFFFF))
        self._pool.shutdown()

    def abort(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _compress(self, block: bytes, *, last: bool = False) -> None:
        self._checksum = zlib.crc32(block, self._checksum)
        self._size += len(block)
        self._blocks.append(self._pool.submit(_deflated, block, self._dictionary, last))
        self._dictionary = block[-_DICTIONARY_SIZE:]

    def _write_blocks(self, *, at_most_waiting: int) -> None:
        while len(self._blocks) > at_most_waiting:
            self._write(self._pending_header + self._blocks.popleft().result())
            self._pending_header = b""


def _deflated(block: bytes, dictionary: bytes, last: bool) -> bytes:
    compressor = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS, zdict=dictionary)
    # A sync flush ends on a whole byte, so that the next block can follow.
    return compressor.compress(block) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
