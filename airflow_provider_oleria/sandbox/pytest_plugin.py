"""A pytest fixture for DAG tests: ``pytest_plugins = ["airflow_provider_oleria.sandbox.pytest_plugin"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_oleria.sandbox.server import Sandbox


@pytest.fixture
def oleria_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A local Oleria behind the Connection ``oleria_default``, new for each test."""
    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", sandbox.connection_json())
        yield sandbox
