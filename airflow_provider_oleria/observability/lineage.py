"""Lineage: what was read and written, for OpenLineage and for Airflow's hook lineage collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_oleria.observability.best_effort import best_effort
from airflow_provider_oleria.observability.location import Location

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

    from airflow_provider_oleria.compat import BaseHook
    from airflow_provider_oleria.downloads import SavedDownload


def context_uri(host: str, data_context: str) -> str:
    """The URI of the asset of a data context.

    :param host: of the API URL, or the API URL itself.
    :param data_context: its API name.
    """
    return f"oleria://{urlsplit(host).netloc or host}/{data_context}"


def context_dataset(uri: str) -> Dataset:
    """The OpenLineage dataset of a data context: the tenant is its namespace.

    :param uri: of its asset.
    """
    from openlineage.client.event_v2 import Dataset

    parts = urlsplit(uri)
    return Dataset(namespace=f"oleria://{parts.netloc}", name=parts.path.lstrip("/"))


def collect(hook: BaseHook, *, read: str | None, written: str) -> None:
    """Report what a hook has read and written to Airflow's hook lineage collector.

    :param hook: the hook.
    :param read: URI of the data context, if it is known.
    :param written: URI of the file.
    """
    with best_effort("Collecting lineage"):
        from airflow_provider_oleria.compat import get_hook_lineage_collector, lineage_is_read

        if not lineage_is_read():
            return
        collector: Any = get_hook_lineage_collector()
        kind = "asset" if hasattr(collector, "add_input_asset") else "dataset"  # Airflow 2.11
        if read:
            getattr(collector, f"add_input_{kind}")(context=hook, uri=read)
        getattr(collector, f"add_output_{kind}")(context=hook, uri=written)


def operator_lineage(read: str | None, saved: SavedDownload | None) -> Any:
    """The lineage of a task. Only the OpenLineage provider calls for it, so that is installed.

    :param read: URI of the data context, if it is known.
    :param saved: the file, if one was saved.
    :return: an ``OperatorLineage``.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(
        inputs=[context_dataset(read)] if read else [],
        outputs=[_file_dataset(saved)] if saved else [],
    )


def _file_dataset(saved: SavedDownload) -> Dataset:
    from openlineage.client import facet_v2
    from openlineage.client.event_v2 import OutputDataset

    namespace, name = Location.of(saved.path).openlineage
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets={
            "schema": facet_v2.schema_dataset.SchemaDatasetFacet(
                fields=[
                    facet_v2.schema_dataset.SchemaDatasetFacetFields(name=column.name, type=column.type)
                    for column in saved.columns
                ]
            )
        },
        outputFacets={
            "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=saved.row_count, size=saved.size_bytes, fileCount=1
            )
        },
    )
