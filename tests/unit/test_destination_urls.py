"""Destinations that are refused by their URL alone, whatever is installed."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.compat import has_fs
from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import resolve


@pytest.mark.parametrize(
    ("destination", "remedy"),
    [
        ("s3n://aws@lake/out.csv", "s3n:// cannot be written; use s3://"),
        ("adl://az@lake/out.csv", "adl:// cannot be written; use abfs://"),
        ("msgraph://m@drive/out.csv", "msgraph:// cannot be written; save to another store"),
        ("sharepoint://m@drive/out.csv", "sharepoint:// cannot be written; save to another store"),
        ("onedrive://m@drive/out.csv", "onedrive:// cannot be written; save to another store"),
    ],
)
def test_a_scheme_that_no_filesystem_can_use_is_refused(destination: str, remedy: str) -> None:
    with pytest.raises(OleriaInputError, match=remedy):
        resolve(destination)


OTHERS = "register it with Airflow as 'Other filesystems' in docs/files.md shows"


@pytest.mark.parametrize(
    "destination", ["s3://lake", "gs://aws@lake", "abfs://lake", "sftp://conn@server", "s3://lake/", ""]
)
def test_a_bucket_or_a_folder_is_no_file(destination: str) -> None:
    with pytest.raises(OleriaInputError, match="destination must be the path of a file, not"):
        resolve(destination)


@pytest.mark.parametrize(
    "destination", ["s3://[lake/out.csv", "s3://lake]/out.csv", "abfs://[lake]@az/out.csv"]
)
def test_a_malformed_url_is_refused(destination: str) -> None:
    with pytest.raises(OleriaInputError, match="is not a URL"):
        resolve(destination)


@pytest.mark.parametrize(
    ("scheme", "remedy"),
    [
        *((scheme, "Install airflow-provider-oleria[s3]") for scheme in ("s3", "s3a")),
        *((scheme, "Install airflow-provider-oleria[gcs]") for scheme in ("gs", "gcs")),
        *((scheme, "Install airflow-provider-oleria[azure]") for scheme in ("abfs", "abfss")),
        *(
            (scheme, "Use abfs://, and install airflow-provider-oleria[azure]")
            for scheme in ("az", "azure", "wasb", "wasbs")
        ),
        *(
            (scheme, "Install airflow-provider-oleria[sftp] and apache-airflow-providers-sftp 5.7.2 or newer")
            for scheme in ("sftp", "ssh")
        ),
        *(
            (scheme, f"Correct the scheme; if you have a filesystem for it, {OTHERS}")
            for scheme in ("s4", "minio", "swift", "oleria", "unheard-of")
        ),
    ],
)
def test_what_to_do_for_a_store_without_a_filesystem_is_named(scheme: str, remedy: str) -> None:
    if has_fs(scheme):
        pytest.skip("is installed")
    with pytest.raises(OleriaInputError) as caught:
        resolve(f"{scheme}://lake/out.csv")

    assert str(caught.value) == (
        f"destination '{scheme}://lake/out.csv' cannot be opened: Airflow has no filesystem for {scheme}://. {remedy}"
    )


@pytest.mark.parametrize(
    ("scheme", "package"), [("oss", "ossfs"), ("smb", "smbprotocol"), ("webdav", "webdav4"), ("ftp", "")]
)
def test_what_fsspec_needs_for_a_store_is_named(scheme: str, package: str) -> None:
    with pytest.raises(OleriaInputError) as caught:
        resolve(f"{scheme}://lake/out.csv")

    _, _, remedy = str(caught.value).partition("Airflow has no filesystem for ")
    assert remedy.startswith(f"{scheme}://. fsspec has one")
    assert package in remedy
    assert remedy.endswith(f": {OTHERS}")


@pytest.mark.parametrize("host", ["acct.dfs.core.windows.net", "acct.blob.core.windows.net"])
@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_azures_own_notation_is_refused_with_airflows(scheme: str, host: str) -> None:
    with pytest.raises(
        OleriaInputError, match=f"Airflow's is '{scheme}://<connection id>@lake/a/out.csv', with the account"
    ):
        resolve(f"{scheme}://lake@{host}/a/out.csv")
