"""Work on a stream's chunks beside the stream, not in its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Final, Self

_DEPTH: Final = 4
"""Chunks that may wait: enough to even out, few enough to keep memory constant."""


class BackgroundConsumer:
    """Feeds chunks, in order, to a function in a thread of its own. A context manager.

    :param consume: called with each chunk.
    """

    def __init__(self, consume: Callable[[bytes], object]) -> None:
        self._consume = consume
        self._queue: Queue[bytes | None] = Queue(_DEPTH)
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="oleria-aside", daemon=True)
        self._thread.start()

    def add(self, chunk: bytes) -> None:
        """Hand over a chunk; waits while too many are waiting."""
        self._queue.put(chunk)

    def finish(self) -> None:
        """Wait until all is consumed.

        :raises Exception: what ``consume`` raised.
        """
        self._end()
        if self._problem is not None:
            raise self._problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            if self._problem is None:
                try:
                    self._consume(chunk)
                except Exception as problem:
                    self._problem = (
                        problem  # and go on emptying the queue, so that add() never waits for ever
                    )
