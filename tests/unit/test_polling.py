"""When to ask: an even rate however many wait, and an end that is noticed soon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oleria.api.polling import PollSchedule

WAITS = 5000


def polls(plan: PollSchedule, begins_at: float, until: float) -> Iterator[float]:
    """The ages of an export at which a wait that begins at one age asks for it."""
    age = begins_at + plan.first(begins_at)
    while age < until:
        yield age
        age += plan.next(age)


@pytest.mark.parametrize("age", [0, 300, 7200], ids=["fresh", "of five minutes", "of two hours"])
def test_thousands_who_begin_at_once_ask_at_an_even_rate_from_the_first_second_on(age: float) -> None:
    plan, seconds = PollSchedule(5, 60), 120
    rate = Counter(
        int(asked - age) for _ in range(WAITS) for asked in polls(plan, begins_at=age, until=age + seconds)
    )

    for second in range(seconds):
        pause = min(60, max(5, (age + second) / 10)) * 0.875  # the mean of what is left of it
        expected = WAITS / pause
        assert rate[second] == pytest.approx(expected, rel=0.15, abs=5 * math.sqrt(expected))


def test_thousands_of_every_age_are_no_crowd_after_a_restart() -> None:
    plan, seconds = PollSchedule(5, 60), 120
    ages = [3600 * number / WAITS for number in range(WAITS)]
    rate = Counter(
        int(asked - age) for age in ages for asked in polls(plan, begins_at=age, until=age + seconds)
    )

    assert max(rate.values()) < 1.5 * rate.total() / seconds


@given(
    plan=st.builds(PollSchedule, st.floats(0.1, 600), st.floats(0.1, 3600)),
    duration=st.floats(0, 24 * 3600),
    restarted_at=st.none() | st.floats(0, 24 * 3600),
)
def test_an_end_is_noticed_within_a_tenth_of_the_duration_or_the_longest_pause(
    plan: PollSchedule, duration: float, restarted_at: float | None
) -> None:
    begins_at = 0.0 if restarted_at is None else min(restarted_at, duration)
    noticed = next(age for age in polls(plan, begins_at, until=math.inf) if age >= duration)

    assert noticed - duration <= max(plan.poll_interval, min(plan.max_poll_interval, duration / 10)) + 1e-6


def test_the_pause_is_constant_where_both_limits_are_the_same() -> None:
    plan = PollSchedule(30, 30)

    for age in (0, 10, 1000, 100_000):
        assert 22.5 <= plan.next(age) <= 30


def test_clocks_that_disagree_do_no_harm() -> None:
    assert 0 <= PollSchedule(5, 60).first(-3600) <= 5
