from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from tests.airflow_names import attach


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """Known to Airflow by ``attach()``, as a user makes any filesystem known."""
    store = fsspec.filesystem("memory")
    attach("memory", fs=store)
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]
