"""When to poll for the status of a download."""

from __future__ import annotations

import math
import random

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.net.backoff import with_jitter


def check_seconds(name: str, value: object) -> None:
    """Check that an argument is a duration.

    :param name: of the argument.
    :param value: the argument.
    :raises OleriaInputError: it is not a number of seconds greater than 0.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise OleriaInputError(f"{name} must be a number of seconds greater than 0, not {value!r}")


class PollSchedule:
    """Delays of a tenth of the download's age, within limits.

    A short export is noticed soon, a long one is polled seldom. The delay depends on the age, not on the number of
    polls: a wait that is resumed keeps its pace. Jitter keeps many waits from polling at once.

    :param poll_interval: shortest delay, in seconds.
    :param max_poll_interval: longest delay, in seconds. If it is not greater than the shortest, the delay is constant.
    :raises OleriaInputError: one of them is not a number of seconds greater than 0.
    """

    def __init__(self, poll_interval: float, max_poll_interval: float) -> None:
        check_seconds("poll_interval", poll_interval)
        check_seconds("max_poll_interval", max_poll_interval)
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval

    def first(self, age: float) -> float:
        """Seconds to the first poll: a random part of a delay, so that many waits that start together spread at once.

        :param age: of the download, in seconds.
        """
        return random.random() * self.next(age)  # noqa: S311  # spreads load

    def next(self, age: float) -> float:
        """Seconds to the next poll.

        :param age: of the download, in seconds.
        """
        return with_jitter(max(self.poll_interval, min(self.max_poll_interval, age / 10)))
