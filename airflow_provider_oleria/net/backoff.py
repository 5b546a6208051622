"""How long to wait before the next attempt: one rule for the token endpoint, the API and the store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from airflow_provider_oleria.exceptions import (
    OleriaOutageError,
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
)

Clock = Callable[[], float]
"""Epoch seconds."""

MAX_ATTEMPTS: Final = 8
"""Attempts before a fault is passed on: with the pauses between them they outlast an outage of a minute."""

RETRY_BUDGET: Final = 600.0
"""Seconds one call may wait in all where the other side asks for it by ``Retry-After``."""

INITIAL_BACKOFF = 1.0
MAX_BACKOFF = 60.0


class RetryBudget:
    """What is left of the patience of one call.

    :param deadline: epoch seconds after which no further attempt makes sense.
    """

    def __init__(self, deadline: float | None = None, clock: Clock = time.time) -> None:
        self._clock = clock
        self._deadline = deadline
        self._give_up_at = clock() + RETRY_BUDGET
        self._pauses = _backoff()
        self._attempts = 0

    def next_delay(self, problem: OleriaOutageError) -> float:
        """Seconds to wait before the next attempt: what ``Retry-After`` asked for, else exponential back-off.

        :raises OleriaRetriesExhaustedError: the retry budget is spent. It is no outage: no caller retries it again.
        :raises OleriaTimeoutError: when the next attempt would come after the deadline.
        """
        self._attempts += 1
        if problem.retry_after is not None:
            # A little later than asked for, so that those who were told the same do not come back together.
            pause = max(problem.retry_after, INITIAL_BACKOFF) * random.uniform(1.0, 1.1)  # noqa: S311  # spreads load
        else:
            pause = next(self._pauses, RETRY_BUDGET)
        self.check(pause, problem)
        return pause

    def check(self, pause: float, problem: OleriaOutageError) -> None:
        """Whether there is time for a pause.

        :param pause: in seconds.
        :param problem: why there is one.
        :raises OleriaRetriesExhaustedError: this would be waiting for too long.
        :raises OleriaTimeoutError: when the next attempt would come after the deadline.
        """
        resume_at = self._clock() + pause
        if self._deadline is not None and resume_at > self._deadline:
            raise OleriaTimeoutError(f"no time is left for another attempt: {problem}") from problem
        if resume_at > self._give_up_at:
            raise OleriaRetriesExhaustedError(
                f"{problem} (given up after {self._attempts} attempts)"
            ) from problem


def with_jitter(seconds: float) -> float:
    """``seconds`` less up to a quarter, so that many callers do not come back at once."""
    return seconds * random.uniform(0.75, 1.0)  # noqa: S311  # spreads load, hides nothing


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds the ``Retry-After`` header asks for; ``None`` without a readable one.

    :param headers: the answer's headers, in any case.
    :param now: the time of the answer, epoch seconds.
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # RFC 9110 has the date in GMT, also where a sender names no zone.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())


def _backoff() -> Iterator[float]:
    for attempt in range(MAX_ATTEMPTS - 1):
        yield with_jitter(min(MAX_BACKOFF, INITIAL_BACKOFF * 2**attempt))
