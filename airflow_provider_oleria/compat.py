"""What differs between Airflow versions and ``apache-airflow-providers-common-compat`` does not cover."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

try:
    from airflow.sdk.definitions.asset import AssetRef
except ImportError:  # Airflow 2.11 has no references to assets

    class AssetRef:  # type: ignore[no-redef]  # one of the two
        """Nothing is one."""


__all__ = [
    "AssetRef",
    "lineage_is_read",
    "mask_secret",
    "read_connection",
    "read_connections_outside_tasks",
    "trigger_timed_out",
]


def trigger_timed_out(next_method: str, next_kwargs: Mapping[str, Any] | None) -> bool:
    """Whether a task is resumed because Airflow's own limit for its trigger passed.

    Airflow 3.2 raises an exception of its own for that, 2.11 the same as for a trigger that broke; the signal both are
    made from has not changed.
    """
    return next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error", "")).lower()


def read_connections_outside_tasks() -> None:
    """Have Connections read from the metadata database, too, as Airflow's own command line does.

    From Airflow 3.1 on, a process that is not known to be Airflow's own finds those in its environment alone.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def lineage_is_read() -> bool:
    """Whether anybody reads what hooks report of lineage.

    Airflow's collector would do for nobody as well, but takes a second to be made: it loads all providers.
    """
    try:
        from airflow.sdk.plugins_manager import get_hook_lineage_readers_plugins
    except ImportError:  # before Airflow 3.2
        plugins_manager: Any = import_module("airflow.plugins_manager")
        plugins_manager.initialize_hook_lineage_readers_plugins()
        return bool(plugins_manager.hook_lineage_reader_classes)
    return bool(get_hook_lineage_readers_plugins())


def mask_secret(secret: str) -> None:
    """Have Airflow mask a secret in logs."""
    try:
        from airflow.sdk import log
    except ImportError:  # Airflow 2.11
        log = import_module("airflow.utils.log.secrets_masker")
    log.mask_secret(secret)


async def read_connection(conn_id: str) -> tuple[Connection, dict[str, Any]]:
    """Read a Connection and its extras on an event loop; Airflow masks them, for which it may ask another process."""
    from airflow.providers.common.compat.connection import get_async_connection

    connection = await get_async_connection(conn_id)
    if hasattr(connection, "aextra_dejson"):
        return connection, dict(await connection.aextra_dejson())
    from asgiref.sync import sync_to_async  # before Airflow 3.3.2

    return connection, dict(await sync_to_async(lambda: connection.extra_dejson)())
