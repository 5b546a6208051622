"""When to poll for the status of a download."""

from __future__ import annotations

import random

from airflow_provider_oleria.net.backoff import with_jitter


class PollSchedule:
    """Delays of a tenth of the download's age, within limits.

    A short export is noticed soon, a long one is polled seldom. The delay depends on the age, not on the number of
    polls: a wait that is resumed keeps its pace. Jitter keeps many waits from polling at once.

    :param poll_interval: shortest delay, in seconds.
    :param max_poll_interval: longest delay, in seconds. If it is not greater than the shortest, the delay is constant.
    """

    def __init__(self, poll_interval: float, max_poll_interval: float) -> None:
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
