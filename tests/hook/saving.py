"""An export to save, and what to expect of it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.transfer.pipeline import prepared, transfer
from airflow_provider_oleria.transfer.source import Source

# About 800 KB, fetched in parts of 64 KiB: as many ranges as a file of 100 MB has otherwise.
ROWS, PARTS = 5_000, SaveOptions(max_concurrency=4, part_size=64 * 1024)
ONE_STREAM = SaveOptions(max_concurrency=1)

either_way = pytest.mark.parametrize("options", [PARTS, ONE_STREAM], ids=["parts", "one stream"])


def make(sandbox: Sandbox) -> str:
    hook = OleriaHook()
    created = hook.create_download(DataContext.ACCESS_INVENTORY_IDENTITIES)
    hook.wait_for_download(created.download_id, poll_interval=0.01)
    sandbox.reset()
    return created.download_id


def save(
    download_id: str,
    destination: Path,
    options: SaveOptions = PARTS,
    fast_connection: float = math.inf,
    **of_source: Any,
) -> None:
    """As the hook does, but no connection is fast enough alone, not even on loopback."""
    hook = OleriaHook()

    def fresh_url() -> str:
        return str(hook.get_download(download_id).url)

    source = partial(Source, fast_connection=fast_connection, **of_source)
    transfer(fresh_url, prepared(destination.as_uri(), options), hook._settings, options, source)


def assert_whole(sandbox: Sandbox, download_id: str, destination: Path) -> None:
    assert destination.read_bytes() == sandbox.expected(download_id).path.read_bytes()
    assert [path.name for path in destination.parent.iterdir()] == [destination.name]
