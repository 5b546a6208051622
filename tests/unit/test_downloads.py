"""Data contexts, downloads, and the options to save them."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from airflow_provider_oleria.downloads import (
    Column,
    DataContext,
    Download,
    DownloadStatus,
    SavedDownload,
    SaveOptions,
)


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


SAVED = SavedDownload(
    download_id="id-1",
    data_context=None,
    status="completed",
    path="file:///data/x.csv",
    uri="file:///data/x.csv",
    size_bytes=7,
    row_count=1,
    sha256="ab",
    source_sha256="ab",
    columns=(Column("id"),),
)


def test_a_download_shows_stores_and_copies_no_presigned_url() -> None:
    download = Download("id-1", DownloadStatus.COMPLETED, url="https://s3.example/?X-Amz-Signature=f00")

    stored = [repr(download), json.dumps(download), pickle.dumps(download), copy.deepcopy(download).url]
    assert "f00" not in repr(stored)
    assert download.url
    assert pickle.loads(pickle.dumps(download)) == Download("id-1", DownloadStatus.COMPLETED)  # noqa: S301  # our own


def test_no_presigned_url_is_in_what_libraries_make_of_the_fields_of_a_download() -> None:
    """Airflow and pydantic store a dataclass of a task's own by its fields, and those of the dataclasses in it."""

    @dataclass
    class Report:
        download: Any

    class Model(BaseModel):
        typed: Download
        untyped: Any

    download = Download("id-1", DownloadStatus.COMPLETED, url="https://s3.example/?X-Amz-Signature=f00")
    results = [
        asdict(download),
        astuple(download),
        asdict(Report(download)),
        Model(typed=download, untyped=[download]).model_dump(),
        TypeAdapter(Download).dump_python(download),
    ]
    assert download.url
    assert "f00" not in repr(results)


def test_results_are_plain_dicts_for_airflow() -> None:
    download = Download("id-1", DownloadStatus.FAILED, error="E42")

    assert json.loads(json.dumps(download)) == {"download_id": "id-1", "status": "failed", "error": "E42"}
    assert json.loads(json.dumps(SAVED)) == {
        "download_id": "id-1",
        "status": "completed",
        "path": "file:///data/x.csv",
        "uri": "file:///data/x.csv",
        "size_bytes": 7,
        "row_count": 1,
        "sha256": "ab",
        "source_sha256": "ab",
        "type_errors": 0,
    }
    assert replace(SAVED, data_context="risks")["data_context"] == "risks"
    assert SAVED.columns == (Column("id"),)


def test_options_may_be_text_as_a_template_renders_them() -> None:
    options = SaveOptions(min_rows="100", required_columns="['a']", column_types='{"a": "int64"}')  # type: ignore[arg-type]  # what this test is about

    assert options == SaveOptions(min_rows=100, required_columns=("a",), column_types={"a": "int64"})


@pytest.mark.parametrize(
    "wrong", [{"min_rows": "x"}, {"exact_columns": {"a"}}, {"part_size": 0}, {"max_concurrency": None}]
)
def test_an_option_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SaveOptions(**wrong)
