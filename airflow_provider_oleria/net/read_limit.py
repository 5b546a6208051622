"""How long the response to one request may take in all, how slowly it may arrive, and whether its header is complete.

The timeout of a socket limits the silence between two reads. A server that sends a byte in each silence would hold a
caller indefinitely, in the headers as in the body, and ``urllib3`` has no limit for that. For ``http.client``, a header
whose connection ends early is complete.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import Any, Final

from airflow_provider_oleria.exceptions import OleriaTransferError
from airflow_provider_oleria.net.backoff import Clock

LOWEST_RATE: Final = 100
"""Bytes a second. Eight connections that share a modem line of 56 kbit/s get eight times that each."""

RATE_WINDOW: Final = 60.0
"""Seconds of waiting for data over which the rate is measured: a line may be silent for most of them."""


class ReadLimit:
    """The limits on all reads of one response.

    :param total: seconds from now for the whole response.
    :param lowest_rate: bytes a second. The time between two reads does not count: a slow destination is no slow line.
    :param rate_window: seconds of waiting for data over which the rate is measured.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        total: float = inf,
        lowest_rate: float = 0.0,
        rate_window: float = RATE_WINDOW,
        clock: Clock = monotonic,
    ) -> None:
        self._clock = clock
        self._give_up_at = clock() + total
        self._lowest_rate = lowest_rate
        self._rate_window = rate_window
        self._received, self._waited = 0, 0.0
        self._stopped = False
        self._socket: socket.socket | None = None

    def watch(self, sock: socket.socket) -> None:
        """The response is read from ``sock``."""
        self._socket = sock

    def stop(self) -> None:
        """End the response, also for another thread that waits for it."""
        self._stopped = True
        if self._socket is not None:
            with suppress(Exception):  # it is closed already
                self._socket.shutdown(socket.SHUT_RD)

    def lift(self) -> None:
        """Limit the total time no longer."""
        self._give_up_at = inf

    def read_into(self, buffer: Any, raw: io.RawIOBase, sock: socket.socket, silence: float) -> int | None:
        """Read once.

        :param silence: the longest time without data, in seconds.
        :raises TimeoutError: the total time is over, or the response was stopped.
        :raises OleriaTransferError: the data arrives too slowly.
        """
        started = self._clock()
        remaining = self._give_up_at - started
        if self._stopped or remaining <= 0:
            raise TimeoutError
        if remaining > silence:
            received = raw.readinto(buffer)
        else:
            sock.settimeout(remaining)
            try:
                received = raw.readinto(buffer)
            finally:
                sock.settimeout(silence)  # the connection may be used again
        self._count(received or 0, self._clock() - started)
        return received

    def _count(self, received: int, waited: float) -> None:
        self._received += received
        self._waited += waited
        if self._waited < self._rate_window:
            return
        if self._received < self._lowest_rate * self._waited:
            raise OleriaTransferError(
                f"the store sent {self._received:,} bytes in {self._waited:.0f} s, less than {self._lowest_rate:,.0f} "
                "a second"
            )
        self._received, self._waited = 0, 0.0


_CURRENT: Final[ContextVar[ReadLimit]] = ContextVar("oleria_read_limit")


@contextmanager
def read_limit(limit: ReadLimit) -> Iterator[None]:
    """Apply a limit to the responses of all requests sent here, also to their bodies that are read later."""
    token = _CURRENT.set(limit)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class _LimitedReader(io.RawIOBase):
    """What ``http.client`` reads a response from."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, limit: ReadLimit) -> None:
        self._raw, self._sock, self._limit = raw, sock, limit
        self._silence = sock.gettimeout() or inf
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        received = self._limit.read_into(buffer, self._raw, self._sock, self._silence)
        self.ended = received == 0
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class LimitedResponse(http.client.HTTPResponse):
    """A response that is read within the limit of its request, and whose header is complete; also that of a proxy."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader: _LimitedReader | None = None
        if (limit := _CURRENT.get(None)) is not None:
            limit.watch(sock)
            self._reader = _LimitedReader(self.fp.detach(), sock, limit)
            self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        """Read the header.

        :raises http.client.RemoteDisconnected: the connection has ended within it.
        """
        super().begin()
        # An empty line ends a complete header: there is nothing to read behind it.
        if self._reader is not None and self._reader.ended:
            raise http.client.RemoteDisconnected("the header is incomplete")
