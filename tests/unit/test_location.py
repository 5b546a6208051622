"""How assets, OpenLineage and a store's console call a file."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.observability.location import Location

S3 = "https://console.aws.amazon.com/s3/object/"
GCS = "https://console.cloud.google.com/storage/browser/_details/"


@pytest.mark.parametrize(
    ("path", "uri", "openlineage", "console_url"),
    [
        (
            "s3://aws_default@lake/ds=2026-01-01/risks.csv",
            "s3://lake/ds=2026-01-01/risks.csv",
            ("s3://lake", "ds=2026-01-01/risks.csv"),
            f"{S3}lake?prefix=ds%3D2026-01-01/risks.csv",
        ),
        ("s3a://lake/x.csv", "s3://lake/x.csv", ("s3://lake", "x.csv"), f"{S3}lake?prefix=x.csv"),
        (
            "gcs://google@lake/a/x.parquet",
            "gs://lake/a/x.parquet",
            ("gs://lake", "a/x.parquet"),
            f"{GCS}lake/a/x.parquet",
        ),
        ("file:///data/x.csv", "file:///data/x.csv", ("file", "/data/x.csv"), ""),
        ("/data/x.csv", "file:///data/x.csv", ("file", "/data/x.csv"), ""),
        (
            "s3://aws_default@lake/one & 100%/#1?.csv",
            "s3://lake/one & 100%/%231%3F.csv",
            ("s3://lake", "one & 100%/%231%3F.csv"),
            f"{S3}lake?prefix=one%20%26%20100%25/%231%3F.csv",
        ),
        (
            "gs://lake/one é.csv",
            "gs://lake/one %C3%A9.csv",
            ("gs://lake", "one %C3%A9.csv"),
            f"{GCS}lake/one%20%C3%A9.csv",
        ),
        ("memory://box/x.csv", "memory://box/x.csv", ("memory://box", "x.csv"), ""),
    ],
)
def test_assets_and_openlineage_have_one_name_for_a_file(
    path: str, uri: str, openlineage: tuple[str, str], console_url: str
) -> None:
    location = Location.of(path)

    assert (location.uri, location.openlineage, location.console_url) == (uri, openlineage, console_url)


def test_no_console_is_shown_the_connection() -> None:
    assert "secret_conn" not in Location.of("gs://secret_conn@lake/x.csv").console_url
