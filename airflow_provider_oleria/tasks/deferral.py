"""What the operators and the sensor share: how they defer, and how errors cross into Airflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from airflow_provider_oleria.compat import AirflowFailException
from airflow_provider_oleria.exceptions import OleriaFatalError

TRIGGER_GRACE: Final = timedelta(minutes=5)
"""Airflow's own timeout of a trigger skips the method that resumes the task, so it comes later than the deadline
the trigger keeps itself: only for a trigger that is lost."""


def trigger_timeout(deadline: float) -> timedelta:
    """Airflow's own limit for a trigger that keeps ``deadline`` (epoch seconds) itself."""
    return timedelta(seconds=deadline - time.time()) + TRIGGER_GRACE


def abandoned_message(download_id: str, status: str) -> str:
    """What there is to say when a wait is ended from outside."""
    return (
        f"Download {download_id} (last known status: {status}) is not waited for any longer. It goes on at Oleria, "
        "whose API has no cancel"
    )


@contextmanager
def fail_without_retries() -> Iterator[None]:
    """Fail the task without using up its retries where a retry could not help."""
    try:
        yield
    except OleriaFatalError as problem:
        raise AirflowFailException(str(problem)) from problem
