"""The two drivers, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox

from .raw_server import Server, connection, raw_server
from .saving import ROWS, make

Ask = Callable[[str], Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, oleria_sandbox: Sandbox) -> Ask:
    """Asks for one download, with each of the two drivers."""
    if request.param == "sync":
        hook = OleriaHook()
        return hook.get_download
    return lambda download_id: asyncio.run(OleriaHook().aget_download(download_id))


@pytest.fixture
def download_id(oleria_sandbox: Sandbox) -> str:
    oleria_sandbox.settings.export_seconds = 0
    created = OleriaHook().create_download(DataContext.IDENTITIES)
    OleriaHook().wait_for_download(created.download_id, poll_interval=0.01)
    oleria_sandbox.reset()
    return created.download_id


@pytest.fixture
def large_download(oleria_sandbox: Sandbox) -> str:
    """One that is fetched in parts."""
    oleria_sandbox.settings.export_seconds = 0
    oleria_sandbox.settings.rows = ROWS
    return make(oleria_sandbox)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    with raw_server(one) as url:
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection(url, timeout=20))
        yield one


@pytest.fixture(params=["worker", "triggerer"])
def get(request: pytest.FixtureRequest) -> Ask:
    """Gets one download, with each of the two drivers."""
    if request.param == "worker":
        return lambda download_id: OleriaHook().get_download(download_id)
    return lambda download_id: asyncio.run(OleriaHook().aget_download(download_id))
