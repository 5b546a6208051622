"""When to ask where an export stands."""

from __future__ import annotations

import math
import random
from typing import Final

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.net.backoff import with_jitter

WAKE_INTERVAL: Final = 0.05
"""Seconds between two moments at which an event loop's pauses end: to wake up, here and at the other end, is much of
what a question costs."""


def check_seconds(name: str, value: object) -> None:
    """Whether an argument is a length of time.

    :param name: of the argument.
    :param value: what was given.
    :raises OleriaInputError: it is no number of seconds greater than 0.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise OleriaInputError(f"{name} must be a number of seconds greater than 0, not {value!r}")


class PollSchedule:
    """Pauses of a tenth of the export's age, within limits: its end is noticed soon, and a long export is not asked
    after all the time.

    They follow the age of the export, not the number of questions: a wait that begins anew goes on at the same pace.
    Each is with_jitter a little at random, so that many who wait never ask at once.

    :param poll_interval: shortest pause, in seconds.
    :param max_poll_interval: longest pause, in seconds. Equal to ``poll_interval``, or less, the pause is constant.
    :raises OleriaInputError: one of them is no number of seconds greater than 0.
    """

    def __init__(self, poll_interval: float, max_poll_interval: float) -> None:
        check_seconds("poll_interval", poll_interval)
        check_seconds("max_poll_interval", max_poll_interval)
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval

    def first(self, age: float) -> float:
        """Seconds to the first question: any part of a pause, as if the wait had gone on for long.

        Many who begin at once ask at an even rate from the first second on.

        :param age: of the export, in seconds.
        """
        return random.random() * self.next(age)  # noqa: S311  # spreads load, hides nothing

    def next(self, age: float) -> float:
        """Seconds to the next question.

        :param age: of the export, in seconds.
        """
        return with_jitter(max(self.poll_interval, min(self.max_poll_interval, age / 10)))


def aligned(seconds: float, now: float) -> float:
    """A pause as long, or a little longer, that ends when those of others do.

    :param seconds: the pause.
    :param now: the event loop's time, in seconds.
    """
    return math.ceil((now + seconds) / WAKE_INTERVAL) * WAKE_INTERVAL - now
