"""Presigned URL → the object's bytes, complete and in order, over one connection while it is fast, then several."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import count
from mmap import mmap
from typing import Final, Self

from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.net.read_limit import RATE_WINDOW
from airflow_provider_oleria.transfer.stored_object import StoredObject

READ_SIZE: Final = 512 * 1024
"""Bytes of one read."""

FAST_CONNECTION: Final = 125_000_000
"""Bytes a second of one connection, above which more connections cost more processor time than they save."""

SPEED_WINDOW: Final = 16 * 1024 * 1024
"""Bytes over which the speed is measured."""


class Source:
    """The object behind a download's presigned URL. A context manager; :meth:`chunks` can be read once.

    :param fresh_url: requests a presigned URL from the API; called again when one has expired.
    :param settings: timeouts, retries and certificates.
    :param max_concurrency: ranges in flight; with 1 the object is read in one stream.
    :param part_size: bytes of each range.
    :param fast_connection: bytes a second of one connection that needs no others beside it.
    :param read_size: bytes of one read.
    :param rate_window: seconds over which the lowest rate of a response is measured.
    """

    def __init__(
        self,
        fresh_url: Callable[[], str],
        settings: Settings,
        *,
        max_concurrency: int,
        part_size: int,
        fast_connection: float = FAST_CONNECTION,
        read_size: int = READ_SIZE,
        rate_window: float = RATE_WINDOW,
    ) -> None:
        self._object = StoredObject(fresh_url, settings, connections=max_concurrency, rate_window=rate_window)
        self._max_concurrency = max_concurrency
        self._part_size = part_size
        self._fast_connection = fast_connection
        self._read_size = read_size
        self._reading: Generator[bytes, None, None]

    @property
    def size(self) -> int | None:
        """Bytes of the object, if the store announces it."""
        return self._object.size

    @property
    def encoding(self) -> str:
        """The object's Content-Encoding."""
        return self._object.encoding

    def __enter__(self) -> Self:
        """Open the object with one plain GET, which is all that a small file needs."""
        self._first = self._object.open()
        self._reading = self._object.stream(0, self.size, self._first, self._read_size)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close all connections."""
        self._object.close()
        self._reading.close()
        self._first.close()  # the stream closes it only if it was started

    def chunks(self) -> Iterator[bytes]:
        """Read the object's bytes as they are stored.

        :raises OleriaObjectChangedError: if it was replaced during the transfer: what was read is unusable.
        :raises OleriaRetriesExhaustedError: if the rest could not be read in any attempt.
        """
        if self.size is not None and self._can_use_parts(self.size):
            self._reading = self._adapt(self._reading, self.size)
        return self._reading

    def _can_use_parts(self, size: int) -> bool:
        return self._object.serves_ranges and self._max_concurrency > 1 and size > 2 * self._part_size

    def _adapt(self, stream: Generator[bytes, None, None], size: int) -> Generator[bytes, None, None]:
        """Read ``stream`` while it is fast, then the rest of the object in parts."""
        at, speed = 0, _SpeedMeter(self._fast_connection)
        with closing(stream):
            for chunk in speed.measure(stream):
                at += len(chunk)
                yield chunk
                if speed.is_slow and size - at > self._part_size:
                    break
            else:
                return
            ranges = self._ranges(at, size)
            first = next(ranges)
            response = self._object.request(*first)
            if response.status_code != 206:
                # The store announces ranges without serving them: the first response has the whole object.
                response.close()
                yield from stream
                return
        yield from self._read_parts(self._object.stream(*first, response, self._read_size), ranges)

    def _read_parts(
        self, first: Iterator[bytes], ranges: Iterator[tuple[int, int]]
    ) -> Generator[bytes, None, None]:
        # One buffer for each part in flight, reused: a slow destination cannot make memory grow. Mapped memory, because
        # large blocks fragment the heap.
        buffers = deque(mmap(-1, self._part_size) for _ in range(self._max_concurrency))
        pending: deque[Future[mmap]] = deque()
        pool = ThreadPoolExecutor(self._max_concurrency, thread_name_prefix="oleria-part")

        def submit_next() -> None:
            if bounds := next(ranges, None):
                pending.append(pool.submit(self._read_part, buffers.popleft(), *bounds))

        try:
            for _ in range(1, self._max_concurrency):
                submit_next()
            yield from first
            submit_next()
            while pending:
                part = pending.popleft().result()
                left = part.tell()
                part.seek(0)
                while left and (chunk := part.read(min(left, self._read_size))):
                    left -= len(chunk)
                    yield chunk
                buffers.append(part)
                submit_next()
        finally:
            self._object.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _ranges(self, at: int, size: int) -> Iterator[tuple[int, int]]:
        """Start and end of each part. The first ones are shorter, so that they do not all arrive at the same time."""
        for number in count(1):
            share = min(number / self._max_concurrency, 1)
            end = at + math.ceil(self._part_size * share)
            yield at, min(end, size)
            if end >= size:
                return
            at = end

    def _read_part(self, buffer: mmap, start: int, end: int) -> mmap:
        buffer.seek(0)
        for chunk in self._object.stream(
            start, end, None, self._read_size // 4
        ):  # several at once, each slow
            buffer.write(chunk)
            if self._object.stopped.is_set():
                break
        return buffer


class _SpeedMeter:
    """Measures whether a connection is slower than ``fast`` bytes a second."""

    def __init__(self, fast: float) -> None:
        self._fast = fast
        self.is_slow = False

    def measure(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks on; the time that the caller takes for them does not count."""
        received, waited = 0, 0.0
        started = time.monotonic()
        for chunk in stream:
            waited += time.monotonic() - started
            received += len(chunk)
            self.is_slow = waited > SPEED_WINDOW / self._fast
            if received > SPEED_WINDOW:
                received, waited = 0, 0.0
            yield chunk
            started = time.monotonic()
