"""What the events of a task's outlets say about the file that was saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_oleria.observability.best_effort import best_effort
from airflow_provider_oleria.observability.location import Location

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.downloads import SavedDownload

_EXTRA: Final[tuple[str, ...]] = ("path", "row_count", "size_bytes", "sha256", "data_context", "download_id")


def describe_outlets(context: Context, outlets: Iterable[Any], saved: SavedDownload) -> None:
    """Put the saved file's metadata into the event of each outlet.

    An asset's event says them as its extra. An asset alias, of which Airflow cannot know what it stands for, gets the
    file itself as its asset. Airflow adds the run's partition key, where there is one.

    :param context: Airflow's.
    :param outlets: the task's.
    :param saved: the file.
    """
    from airflow_provider_oleria.compat import Asset, AssetAlias, AssetRef

    result = saved.as_dict()
    extra: dict[str, Any] = {key: result[key] for key in _EXTRA if key in result}
    for outlet in outlets:
        with best_effort(f"Describing {outlet!r}"):
            if isinstance(outlet, AssetAlias):
                uri = Location.of(saved.path).uri
                context["outlet_events"][outlet].add(Asset(uri), extra=extra)
            elif isinstance(outlet, (Asset, AssetRef)):
                context["outlet_events"][outlet].extra.update(extra)
