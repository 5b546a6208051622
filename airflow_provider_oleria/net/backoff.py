"""Retries: how long to wait before the next attempt, and when to give up.

One rule for the token endpoint, the API and the store.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from airflow_provider_oleria.connection.settings import RetryPolicy
from airflow_provider_oleria.exceptions import (
    OleriaError,
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
)

Clock = Callable[[], float]
"""The current time, in seconds."""

MAX_RETRY_AFTER: Final = 24 * 3600.0
"""Longest ``Retry-After`` that is believed, in seconds."""


class RetryBudget:
    """The attempts and the time that one call has left.

    A failure with ``Retry-After`` uses no attempt, only time.

    :param policy: how many attempts, and for how long.
    :param deadline: attempts are made until this moment, by ``clock``. It replaces the policy's ``max_attempts`` and
        ``max_wait``.
    :param clock: a monotonic clock, in seconds: setting the wall clock changes no retry.
    """

    def __init__(
        self, policy: RetryPolicy, deadline: float | None = None, clock: Clock = time.monotonic
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._deadline = deadline
        self._give_up_at = clock() + policy.max_wait
        self._attempts = 0
        self._counted = 0

    def next_delay(self, problem: OleriaError) -> float:
        """As :meth:`choose_delay`, then :meth:`check`."""
        delay = self.choose_delay(problem)
        self.check(delay, problem)
        return delay

    def choose_delay(self, problem: OleriaError) -> float:
        """Count a failed attempt, and choose the delay before the next one.

        :param problem: why the attempt failed.
        :return: seconds: ``Retry-After`` and up to a tenth more, so that clients which received the same value do not
            return together; without it, exponential back-off.
        """
        self._attempts += 1
        requested: float | None = getattr(problem, "retry_after", None)
        if requested is not None:
            return max(requested, self._policy.initial_backoff) * random.uniform(1.0, 1.1)  # noqa: S311  # spreads load
        self._counted += 1
        backoff = self._policy.initial_backoff * 2.0 ** min(self._counted - 1, 30)
        return with_jitter(min(self._policy.max_backoff, backoff))

    def check(self, delay: float, problem: OleriaError) -> None:
        """Check that another attempt is allowed, and that there is time for a delay before it.

        :param delay: in seconds.
        :param problem: its reason.
        :raises OleriaRetriesExhaustedError: no attempt is left, or the call would wait longer than the policy allows.
            No caller retries it again.
        :raises OleriaTimeoutError: the next attempt would come after the deadline.
        """
        resume_at = self._clock() + delay
        if self._deadline is not None:
            if resume_at > self._deadline:
                raise OleriaTimeoutError(f"no time is left for another attempt: {problem}") from problem
        elif resume_at > self._give_up_at or self._counted >= self._policy.max_attempts:
            raise OleriaRetriesExhaustedError(
                f"{problem} (given up after {self._attempts} attempts)"
            ) from problem


def with_jitter(seconds: float) -> float:
    """``seconds`` less up to a quarter, so that many callers do not return together."""
    return seconds * random.uniform(0.75, 1.0)  # noqa: S311  # spreads load


def is_passing(status: int) -> bool:
    """Whether the same request may succeed in a moment, by the status of its response."""
    return status in (408, 425, 429) or status >= 500


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the ``Retry-After`` header.

    :param headers: the response's headers, in any case.
    :param now: the time of the response, in epoch seconds.
    :return: seconds, at most :data:`MAX_RETRY_AFTER`; ``None`` without a readable header.
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):  # RFC 9110 has whole seconds; some senders have fractions
            return min(float(text), MAX_RETRY_AFTER)
        moment = parsedate_to_datetime(text)
        # RFC 9110 has the date in GMT, also where a sender names no zone.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER)
