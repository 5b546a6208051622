"""What differs between Airflow versions: where Airflow's names are, and a few behaviours.

The names are imported when they are first used, so that a DAG file loads only what it needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.sdk import Asset as Asset
    from airflow.sdk import AssetAlias as AssetAlias
    from airflow.sdk import BaseHook as BaseHook
    from airflow.sdk import BaseOperator as BaseOperator
    from airflow.sdk import BaseOperatorLink as BaseOperatorLink
    from airflow.sdk import BaseSensorOperator as BaseSensorOperator
    from airflow.sdk import Connection
    from airflow.sdk import ObjectStoragePath as ObjectStoragePath
    from airflow.sdk import literal as literal
    from airflow.sdk.configuration import conf as conf
    from airflow.sdk.definitions.asset import AssetRef as AssetRef
    from airflow.sdk.exceptions import AirflowException as AirflowException
    from airflow.sdk.exceptions import AirflowFailException as AirflowFailException
    from airflow.sdk.exceptions import AirflowNotFoundException as AirflowNotFoundException
    from airflow.sdk.exceptions import AirflowSensorTimeout as AirflowSensorTimeout
    from airflow.sdk.exceptions import AirflowSkipException as AirflowSkipException
    from airflow.sdk.execution_time.xcom import XCom as XCom
    from airflow.sdk.io import has_fs as has_fs
    from airflow.sdk.lineage import get_hook_lineage_collector as get_hook_lineage_collector
    from airflow.sdk.log import mask_secret as mask_secret
    from airflow.sdk.observability.stats import Stats as Stats

_EXCEPTIONS: Final = ("airflow.sdk.exceptions", "airflow.exceptions")

_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "Asset": ("airflow.sdk", "airflow.datasets:Dataset"),
    "AssetAlias": ("airflow.sdk", "airflow.datasets:DatasetAlias"),
    "AssetRef": ("airflow.sdk.definitions.asset", "airflow.datasets:Dataset"),  # 2.11 has no references
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "ObjectStoragePath": ("airflow.sdk", "airflow.io.path"),
    "has_fs": ("airflow.sdk.io", "airflow.io"),
    "Stats": ("airflow.sdk.observability.stats", "airflow.observability.stats", "airflow.stats"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "get_hook_lineage_collector": ("airflow.sdk.lineage", "airflow.lineage.hook"),
    "literal": ("airflow.sdk.definitions.template", "airflow.utils.template"),
    "mask_secret": (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ),
}
"""The modules that have a name, the newest first; ``module:name`` where it had another name."""


def __getattr__(name: str) -> Any:
    """Import a name of Airflow from the first place that has it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    problem: Exception | None = None
    for place in _PLACES[name]:
        module, _, former_name = place.partition(":")
        try:
            value = getattr(import_module(module), former_name or name)
        except (ImportError, AttributeError) as missing:
            problem = problem or missing
        else:
            globals()[name] = value
            return value
    raise ImportError(f"this version of Airflow has {name} in none of {_PLACES[name]}") from problem


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

    Airflow's collector works without a reader too, but takes a second to create: it loads all providers.
    """
    try:
        from airflow.sdk.plugins_manager import get_hook_lineage_readers_plugins
    except ImportError:  # before Airflow 3.2
        plugins_manager: Any = import_module("airflow.plugins_manager")
        plugins_manager.initialize_hook_lineage_readers_plugins()
        return bool(plugins_manager.hook_lineage_reader_classes)
    return bool(get_hook_lineage_readers_plugins())


async def read_connection(conn_id: str) -> tuple[Connection, dict[str, Any]]:
    """Read a Connection and its extras on an event loop; Airflow masks them, for which it may ask another process."""
    from asgiref.sync import sync_to_async

    from airflow_provider_oleria.compat import BaseHook

    if hasattr(BaseHook, "aget_connection"):
        connection = await BaseHook.aget_connection(conn_id)
    else:  # before Airflow 3.1
        connection = await sync_to_async(BaseHook.get_connection)(conn_id)
    if hasattr(connection, "aextra_dejson"):
        return connection, dict(await connection.aextra_dejson())
    return connection, dict(await sync_to_async(lambda: connection.extra_dejson)())  # before Airflow 3.3.2
