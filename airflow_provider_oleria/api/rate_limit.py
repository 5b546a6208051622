"""One gate for each tenant: when the API's rate limit is reached, everybody in this process waits."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from airflow_provider_oleria.api.protocol import Sleep

log = logging.getLogger(__name__)

RELEASE_INTERVAL: Final = 0.2
"""Seconds between two callers when they come back."""

RELEASE_WINDOW: Final = 60.0
"""Seconds within which everybody is to be back: where more wait than fit in one line, they come in several at once."""


class Gate:
    """Closed while a tenant's rate limit is reached. For any number of threads and event loops."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at = 0.0
        self._waiting = 0

    def close(self, seconds: float) -> None:
        """Nobody is to send anything for so many seconds."""
        with self._lock:
            now = self._clock()
            if now >= self._opens_at:
                self._waiting = 0
            self._opens_at = max(self._opens_at, now + seconds)

    def wait(self) -> float:
        """Seconds to wait before asking here again; 0 to go through.

        Those who wait are sent off one after the other: all at once, they would reach the limit again.
        """
        with self._lock:
            remaining = self._opens_at - self._clock()
            if remaining <= 0:
                return 0.0
            self._waiting += 1
            turn = (self._waiting - random.uniform(0.0, 0.5)) * RELEASE_INTERVAL  # noqa: S311  # spreads load
            return remaining + turn % RELEASE_WINDOW


_gates: Final[dict[str, Gate]] = {}


def gate(api_url: str) -> Gate:
    """The gate of a tenant: each has an API URL of its own."""
    # Not setdefault() alone: this is asked at each poll, and a gate comes with a lock.
    return _gates.get(api_url) or _gates.setdefault(api_url, Gate())


def taken_at_gate(pause: Sleep, api_url: str) -> bool:
    """Log a pause; one that is for all is taken at the tenant's gate, by whoever asked for it too."""
    if pause.reason is None:
        log.debug("Asking again in %.1f s.", pause.seconds)
    else:
        log.warning("%s. Next attempt in %.1f s.", pause.reason, pause.seconds)
    if pause.for_all:
        gate(api_url).close(pause.seconds)
    return pause.for_all
