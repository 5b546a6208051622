"""An upload in parts, several in flight: what the stores that accept parts have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, Final

_PART_SIZE: Final = 5 * 1024 * 1024
"""Bytes of a part, the smallest S3 accepts: ``max_concurrency`` of them are held in memory."""

_MAX_PARTS: Final = 9_000
"""Parts of one upload; S3 accepts 10,000, Azure 50,000. Parts of larger files are larger."""


class UploadInParts(ABC):
    """An object that is sent while it is written. A store defines how one part is sent.

    :param size: expected size, in bytes; 0 if unknown. An object of at most one part is sent with one request.
    :param max_concurrency: parts in flight.
    """

    def __init__(self, size: int, max_concurrency: int) -> None:
        self._part_size = max(_PART_SIZE, size // _MAX_PARTS + 1)
        self._max_concurrency = max_concurrency
        self._pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix="oleria-upload")
        self._in_flight: set[Future[tuple[int, Any, bytearray]]] = set()
        self._sent: list[tuple[int, Any]] = []
        self._count = 0
        self._buffer, self._filled = bytearray(self._part_size), 0
        self._free: list[bytearray] = []

    def write(self, data: bytes, /) -> None:
        """Append ``data``; waits while ``max_concurrency`` parts are in flight."""
        rest = memoryview(data)
        while self._filled + len(rest) > self._part_size:
            room = self._part_size - self._filled
            self._fill(rest[:room])
            rest = rest[room:]
            self._send()
        self._fill(rest)

    def publish(self) -> None:
        """Complete the object."""
        if self._count:
            self._send()
            self._collect(FIRST_EXCEPTION)
            self._complete([part for _, part in sorted(self._sent)])
        else:
            self._put(bytes(self._buffer[: self._filled]))
        self._pool.shutdown()

    def discard(self) -> None:
        """Give up, after the parts in flight: the store would keep those that arrive later."""
        self._pool.shutdown(cancel_futures=True)
        self._abort()

    def _fill(self, data: memoryview) -> None:
        end = self._filled + len(data)
        self._buffer[self._filled : end] = data
        self._filled = end

    def _send(self) -> None:
        if not self._count:
            self._begin()
        if len(self._in_flight) == self._max_concurrency:
            self._collect(FIRST_COMPLETED)
        self._count += 1
        del self._buffer[self._filled :]  # of the last part
        self._in_flight.add(self._pool.submit(self._numbered_part, self._count, self._buffer))
        self._buffer = self._free.pop() if self._free else bytearray(self._part_size)
        self._filled = 0

    def _numbered_part(self, number: int, data: bytearray) -> tuple[int, Any, bytearray]:
        return number, self._send_part(number, data), data

    def _collect(self, until: str) -> None:
        done, self._in_flight = wait(self._in_flight, return_when=until)
        for part in done:
            number, sent, buffer = part.result()
            self._sent.append((number, sent))
            self._free.append(buffer)

    @abstractmethod
    def _begin(self) -> None:
        """Called once, before the first part of several."""

    @abstractmethod
    def _send_part(self, number: int, data: bytearray) -> Any:
        """Send a part, in a thread of its own.

        :param number: counted from 1.
        :return: what the store needs to complete the object.
        """

    @abstractmethod
    def _complete(self, parts: list[Any]) -> None:
        """Publish the object, made of these parts in their order."""

    @abstractmethod
    def _put(self, data: bytes) -> None:
        """Publish an object of at most one part."""

    @abstractmethod
    def _abort(self) -> None:
        """Remove the parts that were sent, if any."""
