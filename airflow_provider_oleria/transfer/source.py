"""Presigned URL → the object's bytes, in order and whole: over one connection while that is fast, else over several."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from mmap import mmap
from typing import Final, Self

import requests

from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.transfer.stored_object import StoredObject

_CHUNK: Final = 512 * 1024
"""Bytes to read at a time."""

_FAST: Final = 250_000_000
"""Bytes a second of one connection from which on more of them cost more processor time than they save waiting."""

_STRETCH: Final = 32 * 1024 * 1024
"""Bytes over which that is measured."""


class Source:
    """The object behind a download's presigned URL. A context manager; :meth:`chunks` may be read once.

    :param fresh_url: asks the API for a presigned URL; asked again, once, when one has expired.
    :param settings: for limits and certificates.
    :param max_concurrency: how many ranges may be in flight; with 1 the object comes in one stream.
    :param part_size: bytes of each range.
    """

    def __init__(
        self, fresh_url: Callable[[], str], settings: Settings, *, max_concurrency: int, part_size: int
    ) -> None:
        self._object = StoredObject(fresh_url, settings, connections=max_concurrency)
        self._max_concurrency = max_concurrency
        self._part_size = part_size
        self._reading: Generator[bytes, None, None]

    @property
    def size(self) -> int | None:
        """Its bytes, where the store says how many."""
        return self._object.size

    @property
    def encoding(self) -> str:
        """Its Content-Encoding."""
        return self._object.encoding

    def __enter__(self) -> Self:
        """Open it with one plain GET: all that a small file needs."""
        self._first = self._object.open()
        self._reading = self._object.stream(0, self.size, self._first, _CHUNK)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let go of the store."""
        self._object.close()
        self._reading.close()
        self._object.let_go(self._first)  # of which nothing may have been read

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes as they are stored.

        :raises OleriaObjectChangedError: it was replaced meanwhile: what came so far is of no use.
        :raises OleriaRetriesExhaustedError: it cannot be had, however often it was tried.
        """
        if self.size is not None and self._may_come_in_parts(self.size):
            self._reading = self._widened(self._reading, self.size)
        return self._reading

    def _may_come_in_parts(self, size: int) -> bool:
        return self._object.serves_ranges and self._max_concurrency > 1 and size > 2 * self._part_size

    def _widened(self, stream: Generator[bytes, None, None], size: int) -> Generator[bytes, None, None]:
        """``stream`` while it is fast, and what is left of the object in parts once it is not."""
        at, pace = 0, _Pace()
        with closing(stream):
            for chunk in pace.measured(stream):
                at += len(chunk)
                yield chunk
                if pace.is_slow and size - at > self._part_size:
                    break
            else:
                return
            answer = self._object.answer(at, at + self._part_size)
            if answer.status_code != 206:
                # It announces ranges, but does not serve them: the first answer is good for the whole object.
                self._object.let_go(answer)
                yield from stream
                return
        yield from self._in_parts(at, size, answer)

    def _in_parts(self, at: int, size: int, answer: requests.Response) -> Generator[bytes, None, None]:
        # As many buffers as parts in flight, used over and over: what is held is never more, however slow the
        # destination is. Not on the heap, which would scatter and keep it.
        buffers = deque(mmap(-1, self._part_size) for _ in range(self._max_concurrency))
        starts = iter(range(at, size, self._part_size))
        pending: deque[Future[mmap]] = deque()
        pool = ThreadPoolExecutor(self._max_concurrency, thread_name_prefix="oleria-part")

        def submit_next(answer: requests.Response | None = None) -> None:
            if (start := next(starts, None)) is not None:
                end = min(start + self._part_size, size)
                pending.append(pool.submit(self._part, buffers.popleft(), start, end, answer))

        try:
            submit_next(answer)
            for _ in range(1, self._max_concurrency):
                submit_next()
            while pending:
                part = pending.popleft().result()
                left = part.tell()
                part.seek(0)
                while left and (chunk := part.read(min(left, _CHUNK))):
                    left -= len(chunk)
                    yield chunk
                buffers.append(part)
                submit_next()
        finally:
            self._object.given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _part(self, buffer: mmap, start: int, end: int, answer: requests.Response | None) -> mmap:
        buffer.seek(0)
        for chunk in self._object.stream(start, end, answer, _CHUNK // 4):  # many at once, on slow lines
            buffer.write(chunk)
            if self._object.given_up.is_set():
                break  # nobody waits for it any longer
        return buffer


class _Pace:
    """Whether a connection keeps its reader waiting."""

    def __init__(self) -> None:
        self.is_slow = False

    def measured(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """The stream's chunks; the time their user takes for them does not count.

        :param stream: of one connection.
        """
        received, waited = 0, 0.0
        asked = time.monotonic()
        for chunk in stream:
            waited += time.monotonic() - asked
            received += len(chunk)
            self.is_slow = waited > _STRETCH / _FAST
            if received > _STRETCH:
                received, waited = 0, 0.0
            yield chunk
            asked = time.monotonic()
