"""Consumers of a stream's chunks, and a background thread for them."""

from __future__ import annotations

import threading
from queue import Queue
from typing import Final, Protocol

from airflow_provider_oleria.transfer.csv_records import blocks

_MAX_WAITING: Final = 4
"""Chunks in the queue: enough to keep both threads busy, few enough to keep memory constant."""


class Consumer(Protocol):
    """Consumes a CSV in chunks that are cut anywhere."""

    def write(self, chunk: bytes, /) -> object:
        """Consume the next chunk."""

    def close(self) -> object:
        """Consume the end of the CSV."""


class BackgroundConsumer:
    """Runs consumers in a background thread, in order.

    :param consumers: each receives every chunk. What one of them raises is raised by the next :meth:`write` or by
        :meth:`close`.
    """

    def __init__(self, *consumers: Consumer) -> None:
        self._consumers = consumers
        self._queue: Queue[bytes | None] = Queue(_MAX_WAITING)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="oleria-background", daemon=True)
        self._thread.start()

    def write(self, chunk: bytes, /) -> None:
        """Pass a chunk to the thread; blocks while too many are waiting."""
        self._raise_error()
        self._queue.put(chunk)

    def close(self) -> None:
        """Wait until every chunk is consumed, and close the consumers."""
        self.stop()
        self._raise_error()
        for consumer in self._consumers:
            consumer.close()

    def stop(self) -> None:
        """Stop the thread, once it has taken every chunk from the queue."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            if self._error is not None:
                continue  # the queue is emptied, so that write() never blocks indefinitely
            try:
                for block in blocks(chunk):
                    for consumer in self._consumers:
                        consumer.write(block)
            except Exception as error:
                self._error = error
