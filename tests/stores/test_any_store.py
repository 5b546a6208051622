"""Saving to a store that this package knows nothing about: fsspec's in memory."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.exceptions import OleriaInputError, OleriaTransientError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.transfer.pipeline import prepared

pytestmark = pytest.mark.usefixtures("short_pauses")

PATH = "memory://lake/out.csv"


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """Known to Airflow by ``attach()``, as a user makes any filesystem known."""
    try:
        from airflow.sdk.io import attach
    except ImportError:  # Airflow 2.11
        from airflow.io.store import attach

    store = fsspec.filesystem("memory")
    attach("memory", fs=store)
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture
def download_id(oleria_sandbox: Sandbox) -> str:
    oleria_sandbox.settings.export_seconds = 0
    created = OleriaHook().create_download(DataContext.ACCESS_INVENTORY_IDENTITIES)
    OleriaHook().wait_for_download(created.download_id, poll_interval=0.01)
    return created.download_id


def test_the_file_stands_whole(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str
) -> None:
    OleriaHook().save_download(download_id, PATH)

    assert store.cat(PATH) == oleria_sandbox.expected(download_id).path.read_bytes()
    assert store.find("memory://") == ["/lake/out.csv"]


@pytest.mark.parametrize("previous", [None, b"yesterday's\n1\n"])
def test_a_transfer_that_breaks_for_good_leaves_what_stood_there(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str, previous: bytes | None
) -> None:
    if previous is not None:
        store.pipe(PATH, previous)
    oleria_sandbox.fail(Fault(kind="fetch", cut=10_000))
    oleria_sandbox.fail(Fault(kind="fetch", nth=2, times=None, drop=True))

    with pytest.raises(OleriaTransientError):
        OleriaHook().save_download(download_id, PATH)

    assert {path: store.cat(path) for path in store.find("memory://")} == (
        {} if previous is None else {"/lake/out.csv": previous}
    )


def test_what_a_killed_worker_left_behind_is_removed(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str
) -> None:
    store.pipe("memory://lake/.out.csv.0123abcd.part", b"half")
    store.pipe("memory://lake/.other.csv.0123abcd.part", b"not ours")
    OleriaHook().save_download(download_id, PATH)

    assert store.find("memory://") == ["/lake/.other.csv.0123abcd.part", "/lake/out.csv"]


def test_a_folder_is_found_before_an_export_is_started(store: fsspec.AbstractFileSystem) -> None:
    store.pipe("memory://lake/out.csv/already.csv", b"")
    with pytest.raises(OleriaInputError, match="cannot be written: /lake/out.csv is a folder"):
        prepared(PATH, SaveOptions())


def test_looking_whether_it_can_be_written_leaves_nothing(store: fsspec.AbstractFileSystem) -> None:
    prepared(PATH, SaveOptions())

    assert store.find("memory://") == []
