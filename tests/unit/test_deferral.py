"""How long Airflow leaves a trigger alone, and which errors use up the retries of a task."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from airflow_provider_oleria.compat import AirflowFailException
from airflow_provider_oleria.exceptions import OleriaCheckError, OleriaOutageError, OleriaTimeoutError
from airflow_provider_oleria.tasks.deferral import fail_without_retries, stopped_message, trigger_timeout

NOW = 1_779_000_000.0


@pytest.mark.parametrize("left", [-60.0, 0.0, 3600.0])
def test_airflow_ends_a_trigger_five_minutes_after_its_own_deadline(
    monkeypatch: pytest.MonkeyPatch, left: float
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)

    assert trigger_timeout(NOW + left) == timedelta(seconds=left, minutes=5)


def test_the_end_of_a_wait_names_the_download_and_its_last_status() -> None:
    assert stopped_message("id-1", "accepted").startswith(
        "Stopped waiting for download id-1 (last status: accepted). Oleria keeps processing it"
    )


def test_what_no_retry_fixes_fails_the_task_and_keeps_its_cause() -> None:
    problem = OleriaCheckError("min_rows: expected at least 2 rows; found 1")
    with (
        pytest.raises(AirflowFailException, match="^min_rows: expected at least 2") as caught,
        fail_without_retries(),
    ):
        raise problem

    assert caught.value.__cause__ is problem


@pytest.mark.parametrize("problem", [OleriaOutageError("503"), OleriaTimeoutError("late"), OSError("disk")])
def test_what_a_retry_may_fix_is_left_to_airflow(problem: Exception) -> None:
    with pytest.raises(type(problem)) as caught, fail_without_retries():
        raise problem

    assert caught.value is problem
    assert not isinstance(caught.value, AirflowFailException)
