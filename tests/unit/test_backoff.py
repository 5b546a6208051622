"""How long to wait, and when to give up."""

from __future__ import annotations

import math

import pytest

from airflow_provider_oleria.connection.settings import RetryPolicy
from airflow_provider_oleria.exceptions import (
    OleriaRetriesExhaustedError,
    OleriaTimeoutError,
    OleriaUnavailableError,
)
from airflow_provider_oleria.net.backoff import MAX_RETRY_AFTER, RetryBudget, retry_after

NOW = 1_779_000_000.0
POLICY = RetryPolicy()


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


def unavailable(retry_after: float | None = None) -> OleriaUnavailableError:
    problem = OleriaUnavailableError("503")
    problem.retry_after = retry_after
    return problem


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
        ("900.5", 900.5),
        ("1e3", None),
        ("900 seconds", None),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("90000", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 -1200", MAX_RETRY_AFTER),
        ("Sat, 01 Jan 0001 00:00:00 +1200", 0.0),
        ("Sun, 17 May 2026 06:40:30 +9999", None),
        ("Sun, 17 May 2026 06:40:30 -99999999999", None),
        ("Sun, 17 May 99999999999 06:40:30 GMT", None),
        ("Sun, 99 May 2026 06:40:30 GMT", None),
        ("\N{SUPERSCRIPT TWO}", None),
        (",", None),
        ("\x00", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_limited(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-AFTER": value}, NOW) == seconds


def test_without_the_header_no_delay_is_requested() -> None:
    assert retry_after({"Content-Type": "text/plain"}, NOW) is None


def delays(budget: RetryBudget, problem: OleriaUnavailableError, clock: Clock) -> list[float]:
    taken = []
    with pytest.raises(OleriaRetriesExhaustedError, match=f"{problem} .given up after") as caught:
        while True:
            taken.append(budget.next_delay(problem))
            clock.now += taken[-1]
    assert caught.value.__cause__ is problem
    return taken


def test_back_off_doubles_and_outlasts_an_outage_of_a_minute() -> None:
    clock = Clock()
    taken = delays(RetryBudget(POLICY, clock=clock), unavailable(), clock)

    assert all(
        0.75 * full <= delay <= full for delay, full in zip(taken, [1, 2, 4, 8, 16, 32, 60], strict=True)
    )
    assert sum(taken) > 60


@pytest.mark.parametrize("attempts", [1, 3, 2000])
def test_attempts_are_as_the_policy_has_them(attempts: int) -> None:
    clock = Clock()
    policy = RetryPolicy(max_attempts=attempts, max_wait=math.inf)

    assert len(delays(RetryBudget(policy, clock=clock), unavailable(), clock)) == attempts - 1


def test_attempts_end_although_the_clock_stops_or_is_set_back() -> None:
    clock = Clock()
    budget = RetryBudget(POLICY, clock=clock)
    with pytest.raises(OleriaRetriesExhaustedError, match="after 8 attempts"):
        for _ in range(8):
            assert budget.next_delay(unavailable()) <= 60
            clock.now -= 3600


def test_no_call_waits_longer_than_the_policy_has_it() -> None:
    clock = Clock()
    taken = delays(RetryBudget(RetryPolicy(max_wait=10), clock=clock), unavailable(), clock)

    assert sum(taken) <= 10


def test_retry_after_is_obeyed_and_limited() -> None:
    clock = Clock()
    taken = delays(RetryBudget(POLICY, clock=clock), unavailable(100.0), clock)

    assert all(100 <= delay <= 110 for delay in taken)
    assert sum(taken) <= 600


def test_with_a_deadline_a_long_retry_after_has_its_time_and_uses_no_attempt() -> None:
    clock = Clock()
    budget = RetryBudget(POLICY, clock.now + 20_000, clock)
    for _ in range(20):
        delay = budget.next_delay(unavailable(900.0))
        assert 900 <= delay <= 990
        clock.now += delay
    clock.now = 24_900.0
    with pytest.raises(OleriaTimeoutError):
        budget.next_delay(unavailable(900.0))


@pytest.mark.parametrize("policy", [POLICY, RetryPolicy(max_attempts=1), RetryPolicy(max_wait=1)])
def test_a_deadline_replaces_the_limits_of_the_policy(policy: RetryPolicy) -> None:
    clock = Clock()
    budget = RetryBudget(policy, clock.now + 7200, clock)
    for _ in range(7200 // 60):
        delay = budget.next_delay(unavailable())
        assert 0.75 <= delay <= 60
        clock.now += delay
    clock.now = 5000.0 + 7200
    with pytest.raises(OleriaTimeoutError, match="503"):
        budget.next_delay(unavailable())


def test_retry_after_zero_is_no_busy_loop() -> None:
    assert RetryBudget(POLICY, clock=Clock()).next_delay(unavailable(0.0)) >= 1.0


def test_a_delay_beyond_the_deadline_is_a_timeout_at_once() -> None:
    clock = Clock()
    with pytest.raises(OleriaTimeoutError, match="503"):
        RetryBudget(POLICY, clock.now + 29, clock).next_delay(unavailable(30.0))
