"""A task's result in the events of its outlets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.observability.best_effort import best_effort

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.downloads import SavedDownload


def describe_outlets(context: Context, outlets: Iterable[Any], saved: SavedDownload) -> None:
    """Add the task's result to the event of each outlet, as its extra.

    An asset alias receives the file itself as its asset. Airflow adds the run's partition key, if there is one.

    :param context: Airflow's.
    :param outlets: the task's.
    :param saved: the file.
    """
    from airflow_provider_oleria.compat import Asset, AssetAlias, AssetRef

    extra: dict[str, Any] = dict(saved)
    for outlet in outlets:
        with best_effort(f"Describing {outlet!r}"):
            if isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].add(Asset(saved.uri), extra=extra)
            elif isinstance(outlet, (Asset, AssetRef)):
                context["outlet_events"][outlet].extra.update(extra)
