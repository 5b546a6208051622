"""A sandbox whose exports are complete as soon as they are made, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_oleria.sandbox import Sandbox

from .client import Client


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=500, export_seconds=0) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _nothing_breaks_inside(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What goes wrong on order is no error of the server's own."""
    yield
    assert [
        record
        for record in caplog.records
        if record.name.startswith(("aiohttp", "asyncio")) and record.levelno > 20
    ] == []


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)
