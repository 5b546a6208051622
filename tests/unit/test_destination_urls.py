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


@pytest.mark.parametrize(
    "destination", ["s3://[lake/out.csv", "s3://lake]/out.csv", "abfs://[lake]@az/out.csv"]
)
def test_a_malformed_url_is_refused(destination: str) -> None:
    with pytest.raises(OleriaInputError, match="is not a URL"):
        resolve(destination)


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        *((scheme, "airflow-provider-oleria[gcs]") for scheme in ("gs", "gcs")),
        *((scheme, "airflow-provider-oleria[azure]") for scheme in ("abfs", "abfss")),
        *(
            (scheme, "airflow-provider-oleria[sftp] and apache-airflow-providers-sftp 5.7.2 or newer")
            for scheme in ("sftp", "ssh")
        ),
        ("unheard-of", "the Airflow provider or fsspec package of that store"),
    ],
)
def test_what_to_install_for_a_store_is_named(scheme: str, package: str) -> None:
    if has_fs(scheme):
        pytest.skip("is installed")
    with pytest.raises(OleriaInputError) as caught:
        resolve(f"{scheme}://lake/out.csv")

    assert str(caught.value).endswith(f". Install {package}")


@pytest.mark.parametrize("host", ["acct.dfs.core.windows.net", "acct.blob.core.windows.net"])
@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_azures_own_notation_is_refused_with_airflows(scheme: str, host: str) -> None:
    with pytest.raises(
        OleriaInputError, match=f"Airflow's is '{scheme}://<connection id>@lake/a/out.csv', with the account"
    ):
        resolve(f"{scheme}://lake@{host}/a/out.csv")
