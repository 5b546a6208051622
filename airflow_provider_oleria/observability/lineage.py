"""Where the data comes from and where it goes: for OpenLineage, and for Airflow's own collector.

In OpenLineage an Oleria data context is a dataset of its own: the tenant (``oleria://<host of the API URL>``) is the
namespace, the data context the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_oleria.observability.best_effort import best_effort
from airflow_provider_oleria.observability.location import Location

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

    from airflow_provider_oleria.compat import Asset, BaseHook
    from airflow_provider_oleria.downloads import SavedDownload


def context_uri(api_url: str, data_context: str) -> str:
    """A data context of a tenant as the URI of an asset.

    :param api_url: the tenant's.
    :param data_context: its API name.
    """
    return f"oleria://{urlsplit(api_url).netloc}/{data_context}"


def collect(hook: BaseHook, *, read: str | None, written: str) -> None:
    """Tell Airflow's hook lineage collector what a hook has brought home.

    :param hook: which.
    :param read: URI of the data context, where it is known.
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
    """What OpenLineage is told about a task of this package. Only OpenLineage calls for it, so it is installed.

    :param read: URI of the data context, where it is known.
    :param saved: the file, where one was saved.
    :return: an ``OperatorLineage``.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(
        inputs=[_context_dataset(read)] if read else [],
        outputs=[_file_dataset(saved)] if saved else [],
    )


def asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """An asset ``oleria://…`` as OpenLineage calls it: Airflow's providers manager knows this function.

    :param asset: the asset.
    :param lineage_context: the hook it was collected from.
    """
    return _context_dataset(asset.uri)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check an asset's URI ``oleria://<host>/<data context>``: Airflow's providers manager knows this function.

    :raises ValueError: it names no tenant or no data context.
    """
    if not uri.netloc or not uri.path.strip("/"):
        raise ValueError(
            f"an asset of Oleria is oleria://<host of the API URL>/<data context>, not {uri.geturl()!r}"
        )
    return uri


def _context_dataset(uri: str) -> Dataset:
    from openlineage.client.event_v2 import Dataset

    parts = urlsplit(uri)
    return Dataset(namespace=f"oleria://{parts.netloc}", name=parts.path.lstrip("/"))


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
