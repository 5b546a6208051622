"""One gate for each tenant."""

from __future__ import annotations

from itertools import pairwise

import pytest

from airflow_provider_oleria.api.rate_limit import RELEASE_INTERVAL, RELEASE_WINDOW, Gate, gate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_gate_is_open_until_it_is_closed(clock: Clock) -> None:
    one = Gate(clock)
    assert (one.wait(), one.is_closed) == (0, False)
    one.close(7)
    assert one.is_closed
    clock.now += 7
    assert (one.wait(), one.is_closed) == (0, False)


def test_one_closure_holds_everybody_until_its_time(clock: Clock) -> None:
    one = Gate(clock)
    one.close(7)
    assert all(one.wait() > 7 for _ in range(50))
    clock.now += 7
    assert one.wait() == 0


def test_the_waiting_callers_come_back_one_after_the_other(clock: Clock) -> None:
    one = Gate(clock)
    one.close(7)
    waits = [one.wait() for _ in range(50)]

    gaps = [later - earlier for earlier, later in pairwise(waits)]
    assert all(RELEASE_INTERVAL / 2 <= gap <= RELEASE_INTERVAL * 1.5 for gap in gaps)


def test_however_many_wait_they_are_back_in_a_minute(clock: Clock) -> None:
    one = Gate(clock)
    one.close(7)
    waits = sorted(one.wait() for _ in range(5000))

    assert waits[0] > 7
    assert waits[-1] <= 7 + RELEASE_WINDOW
    assert waits[2500] == pytest.approx(7 + RELEASE_WINDOW / 2, abs=1), "the load is even"


def test_a_shorter_closure_does_not_shorten_a_longer_one(clock: Clock) -> None:
    one = Gate(clock)
    one.close(60)
    one.close(1)
    assert one.wait() > 60


def test_the_line_is_a_new_one_after_the_gate_was_open(clock: Clock) -> None:
    one = Gate(clock)
    one.close(1)
    for _ in range(50):
        one.wait()
    clock.now += 30
    one.close(1)
    assert one.wait() <= 1 + RELEASE_INTERVAL


def test_each_tenant_has_a_gate_of_its_own() -> None:
    assert gate("https://a.example") is gate("https://a.example")
    assert gate("https://a.example") is not gate("https://b.example")
