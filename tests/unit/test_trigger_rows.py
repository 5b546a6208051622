"""Rows of triggers that earlier versions wrote: a task deferred before an upgrade is resumed after it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

import pytest

from airflow_provider_oleria.exceptions import OleriaDownloadFailedError, OleriaTimeoutError
from airflow_provider_oleria.triggers.oleria import completed_download

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "0.1.0": (
        "airflow_provider_oleria.triggers.oleria.OleriaDownloadTrigger",
        {
            "download_id": "3f0c1c9e-5d0b-4a54-8f0f-4f5b1d7c2a10",
            "oleria_conn_id": "oleria_default",
            "poll_interval": 5.0,
            "max_poll_interval": 60.0,
            "deadline": 1_790_000_000.0,
            "started_at": 1_789_990_000.0,
        },
    ),
}
"""Version → class path and arguments. Never change a row that was released: add one."""

COMPLETED = {"status": "completed", "download_id": "3f0c1c9e-5d0b-4a54-8f0f-4f5b1d7c2a10"}
FAILED = {
    **COMPLETED,
    "status": "error",
    "error": "OleriaDownloadFailedError",
    "message": "EXPORT_FAILED: no rows",
}
TIMED_OUT = {
    **COMPLETED,
    "status": "error",
    "error": "OleriaTimeoutError",
    "message": "did not complete in time",
}
"""Events of 0.1.0: one of a triggerer that was not restarted yet resumes a task in a worker that was."""

RESUMED: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "0.1.0": [
        (
            "airflow_provider_oleria.operators.oleria.OleriaDownloadOperator",
            "execute_complete",
            {"created_at": 1_789_990_000.0, "data_context": "accessInventoryIdentitiesV2"},
        ),
        ("airflow_provider_oleria.sensors.oleria.OleriaDownloadSensor", "execute_complete", {}),
    ],
}
"""Version → class, and the method and arguments that Airflow stores with a deferred task."""


def load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("version", ROWS)
def test_a_row_of_an_earlier_version_is_read(version: str) -> None:
    path, arguments = ROWS[version]
    trigger = load(path)(**arguments)

    assert trigger.serialize()[1].items() >= arguments.items()


def test_the_version_before_can_read_a_row_of_this_one() -> None:
    """After a roll back: no argument that it does not know."""
    *_, (path, arguments) = ROWS.values()
    written = load(path)(**arguments).serialize()

    assert written == (path, arguments)


@pytest.mark.parametrize("row", [row for rows in RESUMED.values() for row in rows], ids=lambda row: row[0])
def test_a_task_that_an_earlier_version_deferred_has_its_method(row: tuple[str, str, dict[str, Any]]) -> None:
    path, method, arguments = row

    signature(getattr(load(path), method)).bind("the task", context={}, event=COMPLETED, **arguments)


def test_an_event_of_an_earlier_version_resumes_the_task() -> None:
    assert completed_download(COMPLETED) == COMPLETED["download_id"]


@pytest.mark.parametrize(
    ("event", "error"), [(FAILED, OleriaDownloadFailedError), (TIMED_OUT, OleriaTimeoutError)]
)
def test_an_error_of_an_earlier_version_fails_the_task(event: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error, match=event["message"]):
        completed_download(event)
