"""How long to wait, and when to give up."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.exceptions import (
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.net.backoff import MAX_ATTEMPTS, RetryBudget, retry_after

NOW = 1_779_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Sun, 17 May 2026 06:40:30 GMT", 30.0),
        ("Sun, 17 May 2026 06:40:30 -0000", 30.0),
        ("Sun, 17 May 2026 06:39:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-AFTER": value}, NOW) == seconds


def test_without_the_header_nothing_is_asked_for() -> None:
    assert retry_after({"Content-Type": "text/plain"}, NOW) is None


def pauses(patience: RetryBudget, problem: OleriaUnavailableError, clock: Clock) -> list[float]:
    taken = []
    with pytest.raises(OleriaRetriesExhaustedError, match=f"{problem} .given up after") as caught:
        while True:
            taken.append(patience.next_delay(problem))
            clock.now += taken[-1]
    assert caught.value.__cause__ is problem
    return taken


def test_back_off_doubles_and_outlasts_an_outage_of_a_minute() -> None:
    clock = Clock()
    taken = pauses(RetryBudget(clock=clock), OleriaUnavailableError("503"), clock)

    assert len(taken) == MAX_ATTEMPTS - 1
    assert all(
        0.75 * full <= pause <= full for pause, full in zip(taken, [1, 2, 4, 8, 16, 32, 60], strict=True)
    )
    assert sum(taken) > 60


def test_retry_after_is_obeyed_and_bounded() -> None:
    clock, problem = Clock(), OleriaUnavailableError("429")
    problem.retry_after = 100.0
    taken = pauses(RetryBudget(clock=clock), problem, clock)

    assert all(100 <= pause <= 110 for pause in taken)
    assert sum(taken) <= 600


def test_retry_after_zero_is_no_busy_loop() -> None:
    problem = OleriaUnavailableError("429")
    problem.retry_after = 0.0

    assert RetryBudget(clock=Clock()).next_delay(problem) >= 1.0


def test_what_would_come_after_the_deadline_is_a_timeout_at_once() -> None:
    problem = OleriaUnavailableError("429")
    problem.retry_after = 30.0

    with pytest.raises(OleriaTimeoutError, match="429"):
        RetryBudget(NOW + 29, Clock()).next_delay(problem)
