"""Assets of data contexts: ``oleria://<host of the API URL>/<data context>`` (AIP-60).

Airflow's providers manager finds these functions by ``asset-uris`` in ``get_provider_info``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from airflow_provider_oleria.observability.lineage import context_dataset, context_uri

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

    from airflow_provider_oleria.compat import Asset


def create_asset(*, host: str, data_context: str, extra: dict[str, Any] | None = None) -> Asset:
    """The asset of a data context.

    :param host: of the API URL, such as ``devx.mytenant.oleria.io``; the API URL itself does as well.
    :param data_context: such as ``DataContext.RISKS``.
    :param extra: metadata of the asset.
    """
    from airflow_provider_oleria.compat import Asset

    return Asset(uri=context_uri(host, data_context), extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check the URI of an asset.

    :raises ValueError: it names no tenant or no data context.
    """
    if not uri.netloc or not uri.path.strip("/"):
        raise ValueError(
            f"an asset of Oleria is oleria://<host of the API URL>/<data context>, not {uri.geturl()!r}"
        )
    return uri


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """The OpenLineage dataset of an asset.

    :param asset: the asset.
    :param lineage_context: the hook that reported it.
    """
    return context_dataset(asset.uri)
