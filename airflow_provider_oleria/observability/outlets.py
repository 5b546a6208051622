"""The saved file's metadata in the events of a task's outlets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_oleria.observability.best_effort import best_effort

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.downloads import SavedDownload

_EXTRA: Final[tuple[str, ...]] = (
    "path",
    "uri",
    "row_count",
    "size_bytes",
    "sha256",
    "data_context",
    "download_id",
)


def describe_outlets(context: Context, outlets: Iterable[Any], saved: SavedDownload) -> None:
    """Add the saved file's metadata to the event of each outlet.

    They become the extra of an asset's event. An asset alias receives the file itself as its asset. Airflow adds the
    run's partition key, if there is one.

    :param context: Airflow's.
    :param outlets: the task's.
    :param saved: the file.
    """
    from airflow_provider_oleria.compat import Asset, AssetAlias, AssetRef

    extra: dict[str, Any] = {key: saved[key] for key in _EXTRA if key in saved}
    for outlet in outlets:
        with best_effort(f"Describing {outlet!r}"):
            if isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].add(Asset(saved.uri), extra=extra)
            elif isinstance(outlet, (Asset, AssetRef)):
                context["outlet_events"][outlet].extra.update(extra)
