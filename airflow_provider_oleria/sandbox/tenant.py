"""Everything one sandbox knows, in one place."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque

from airflow_provider_oleria.sandbox.calls import Ledger
from airflow_provider_oleria.sandbox.exports import Exports
from airflow_provider_oleria.sandbox.oauth import OAuthServer
from airflow_provider_oleria.sandbox.settings import Settings
from airflow_provider_oleria.sandbox.store import Store


class Tenant:
    """The state behind the endpoints.

    :param settings: the knobs.
    :param client_secret: the client's first secret; one is made up unless given.
    """

    def __init__(self, settings: Settings, client_secret: str | None = None) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.oauth = OAuthServer(settings, client_secret)
        self.exports = Exports(settings)
        self.store = Store(settings, self.exports)
        self.limit = RateLimit(settings)
        self.closing = asyncio.Event()


class RateLimit:
    """At most ``rate_limit`` API calls in any second; refused ones do not count.

    :param settings: the knobs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()

    def admits(self) -> bool:
        """Whether one more call may pass now."""
        limit = self._settings.rate_limit
        if limit is None:
            return True
        now = time.monotonic()
        with self._lock:
            while self._admitted and self._admitted[0] <= now - 1:
                self._admitted.popleft()
            if len(self._admitted) >= limit:
                return False
            self._admitted.append(now)
            return True
