"""Rows of triggers that earlier versions wrote: a task deferred before an upgrade is resumed after it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

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

EVENTS: dict[str, list[dict[str, str]]] = {
    "0.1.0": [
        {"status": "completed", "download_id": "3f0c1c9e-5d0b-4a54-8f0f-4f5b1d7c2a10"},
    ],
}


@pytest.mark.parametrize("version", ROWS)
def test_a_row_of_an_earlier_version_is_read(version: str) -> None:
    path, arguments = ROWS[version]
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**arguments)

    assert trigger.serialize()[1].items() >= arguments.items()


def test_the_version_before_can_read_a_row_of_this_one() -> None:
    """After a roll back: no argument that it does not know."""
    *_, (path, arguments) = ROWS.values()
    module, _, name = path.rpartition(".")
    written = getattr(import_module(module), name)(**arguments).serialize()

    assert written == (path, arguments)


@pytest.mark.parametrize("event", [event for events in EVENTS.values() for event in events])
def test_an_event_of_an_earlier_version_resumes_the_task(event: dict[str, str]) -> None:
    from airflow_provider_oleria.triggers.oleria import completed_download

    assert completed_download(event) == event["download_id"]
