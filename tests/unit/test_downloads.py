"""The data contexts, and what a Download shows of itself."""

from __future__ import annotations

import warnings

import pytest

from airflow_provider_oleria.downloads import DataContext, Download, DownloadStatus


def test_a_member_is_its_api_name() -> None:
    assert f"{DataContext.ACCESS_INVENTORY_IDENTITIES}" == "accessInventoryIdentitiesV2"
    assert DataContext("risksV2") is DataContext.RISKS_V2
    assert DataContext.RISKS_V2.group == "Risk & Activity"


def test_the_catalogue_is_whole_and_described() -> None:
    assert len(DataContext) == 25
    assert all(context.group and context.description for context in DataContext)


def test_an_unknown_data_context_warns_with_the_nearest_name() -> None:
    with pytest.warns(UserWarning, match="Did you mean 'accessInventoryIdentitiesV2'"):
        DataContext.warn_if_unknown("accessInventoryIdentities")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataContext.warn_if_unknown("risks")


def test_the_presigned_url_is_neither_shown_nor_stored() -> None:
    request = Download("id-1", DownloadStatus.COMPLETED, url="https://s3.example/?X-Amz-Signature=f00")

    assert "f00" not in repr(request)
    assert "f00" not in repr(request.serialize())
    assert Download.deserialize(request.serialize(), 1) == Download("id-1", DownloadStatus.COMPLETED)
