"""A completed download, to be saved."""

from __future__ import annotations

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox


def export(sandbox: Sandbox, rows: int = 1_000) -> str:
    """Complete a download of that many rows, and return its id."""
    sandbox.settings.rows = rows
    sandbox.settings.export_seconds = 0
    hook = OleriaHook()
    created = hook.create_download(DataContext.ACCESS_INVENTORY_IDENTITIES)
    hook.wait_for_download(created.download_id, poll_interval=0.01)
    return created.download_id
