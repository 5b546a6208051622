"""Deferral, and how errors reach Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Final, TypeVar, cast

from airflow_provider_oleria.compat import AirflowFailException
from airflow_provider_oleria.exceptions import OleriaFatalError

Init = TypeVar("Init", bound=Callable[..., None])

TRIGGER_GRACE: Final = timedelta(minutes=5)
"""How long after the trigger's own deadline Airflow's timeout ends a trigger that is lost. Airflow's timeout skips the
method that resumes the task, so it must not come first."""


def trigger_timeout(deadline: float) -> timedelta:
    """Airflow's timeout for a trigger that ends by itself at ``deadline``.

    :param deadline: in epoch seconds.
    """
    return timedelta(seconds=deadline - time.time()) + TRIGGER_GRACE


def stopped_message(download_id: str, status: str) -> str:
    """The log line for a wait that is ended from outside."""
    return (
        f"Stopped waiting for download {download_id} (last status: {status}). "
        "Oleria keeps processing it: its API cannot cancel a download"
    )


@contextmanager
def fail_without_retries() -> Iterator[None]:
    """Fail the task without using up its retries if a retry would not help."""
    try:
        yield
    except OleriaFatalError as problem:
        raise AirflowFailException(str(problem)) from problem


def checks_arguments(init: Init) -> Init:
    """Decorate the ``__init__`` of an operator that refuses arguments.

    That of a mapped task (``expand()``) runs when the task does: then the refusal must not use up its retries.
    """

    @wraps(init)
    def init_operator(self: object, **arguments: object) -> None:
        try:
            init(self, **arguments)
        except OleriaFatalError as problem:
            # Set by Airflow before it calls this, in 2.11 and in 3.3.
            if not getattr(self, "_BaseOperator__from_mapped", False):
                raise
            raise AirflowFailException(str(problem)) from problem

    return cast(Init, init_operator)
