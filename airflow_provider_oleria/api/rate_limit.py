"""The rate-limit gate: one per tenant, for all threads and event loops of the process."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Final

from airflow_provider_oleria.net.backoff import Clock

RELEASE_INTERVAL: Final = 0.2
"""Seconds between two callers after the gate has opened."""

RELEASE_WINDOW: Final = 60.0
"""Seconds in which all callers are released. If they do not fit one by one, several are released at once."""


class Gate:
    """Closed while no request may be sent. Thread-safe.

    :param clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at = 0.0
        self._waiting = 0

    def renew_lock(self) -> None:
        """In a child process: a thread that held the lock was not forked."""
        self._lock = threading.Lock()

    def close(self, seconds: float) -> None:
        """Allow no request for ``seconds`` seconds."""
        with self._lock:
            now = self._clock()
            if now >= self._opens_at:
                self._waiting = 0
            self._opens_at = max(self._opens_at, now + seconds)

    @property
    def is_closed(self) -> bool:
        """Whether no request may be sent now."""
        return self._clock() < self._opens_at

    def wait(self) -> float:
        """Return whether a request may be sent now.

        Callers are released one after the other: all at once, they would reach the limit again.

        :return: seconds to wait before asking again; 0 means yes.
        """
        with self._lock:
            remaining = self._opens_at - self._clock()
            if remaining <= 0:
                return 0.0
            self._waiting += 1
            turn = (self._waiting - random.uniform(0.0, 0.5)) * RELEASE_INTERVAL  # noqa: S311  # spreads load
            return remaining + turn % RELEASE_WINDOW


_gates: Final[dict[str, Gate]] = {}


def gate(url: str) -> Gate:
    """The gate of a tenant's API or token endpoint.

    :param url: its URL, which is the tenant's own.
    """
    # Not setdefault() alone: it would make a gate, with a lock, for each poll.
    return _gates.get(url) or _gates.setdefault(url, Gate())


def _renew_locks() -> None:
    for one in _gates.values():
        one.renew_lock()


os.register_at_fork(after_in_child=_renew_locks)
