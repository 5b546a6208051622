"""fsspec's client of WebHDFS, against a stand-in for Hadoop: what it does has not been tried with Hadoop itself."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.pipeline import prepared
from tests.airflow_names import attach
from tests.servers.stores import connection
from tests.servers.webhdfs import READER, STRANGER, hadoop

from .exports import export

Lake = Callable[..., str]


@pytest.fixture
def files() -> dict[str, bytes]:
    """Path → content of all files on the server."""
    return {}


@pytest.fixture
def lake(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """The URL of a folder, given the user and, if it is not the server's, the port."""
    from fsspec.implementations.webhdfs import WebHDFS

    with hadoop(files) as url:
        server = int(url.rpartition(":")[2])

        def make_url(user: str = "airflow", port: int = server) -> str:
            conn_id = connection(monkeypatch, conn_type="webhdfs")
            attach("webhdfs", conn_id, fs=WebHDFS("127.0.0.1", port, user=user))
            url = f"webhdfs://{conn_id}@server/lake"
            if not resolve(url).path.startswith("/"):
                pytest.skip("the first slash is lost, which universal_pathlib 0.3 keeps")
            return url

        yield make_url


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_a_download_is_saved(
    oleria_sandbox: Sandbox, lake: Lake, files: dict[str, bytes], suffix: str
) -> None:
    url, download_id = f"{lake()}/out.{suffix}", export(oleria_sandbox)
    files[f"/lake/.out.{suffix}.0123abcd.part"] = b"of a killed task"
    prepared(url, SaveOptions())
    OleriaHook().save_download(download_id, url)

    assert list(files) == [f"/lake/out.{suffix}"]
    content = files[f"/lake/out.{suffix}"]
    expected = oleria_sandbox.expected(download_id).path.read_bytes()
    assert (gzip.decompress(content) if suffix == "csv.gz" else content) == expected


def test_a_file_larger_than_any_block(lake: Lake, files: dict[str, bytes]) -> None:
    content = bytes(range(256)) * 50_000
    with publish(resolve(f"{lake()}/out.csv"), len(content)) as file:
        for start in range(0, len(content), 1_000_003):
            file.write(content[start : start + 1_000_003])
        assert "/lake/out.csv" not in files

    assert files == {"/lake/out.csv": content}


def test_a_second_night_is_refused_before_an_export_is_started(lake: Lake, files: dict[str, bytes]) -> None:
    files["/lake/out.csv"] = b"night 1"
    with pytest.raises(
        OleriaInputError,
        match="out.csv' cannot be written: the previous file was not replaced: this store does not move",
    ):
        check_writable(resolve(f"{lake()}/out.csv"))

    assert files == {"/lake/out.csv": b"night 1"}


@pytest.mark.parametrize("content", [b"new", b"of another task"])
def test_a_file_that_has_appeared_during_the_transfer_is_kept(
    lake: Lake, files: dict[str, bytes], content: bytes
) -> None:
    with (
        pytest.raises(
            OleriaInputError,
            match="out.csv' cannot be written: the previous file was not replaced: this store does not move",
        ),
        publish(resolve(f"{lake()}/out.csv"), 0) as file,
    ):
        file.write(content)
        files["/lake/out.csv"] = b"of another task"

    assert files == {"/lake/out.csv": b"of another task"}


@pytest.mark.parametrize(
    ("user", "cause"),
    [(READER, "Permission denied: user=reader, access=WRITE"), (STRANGER, "401 Client Error")],
)
def test_a_user_who_may_not_write_is_found_before_an_export_is_started(
    lake: Lake, files: dict[str, bytes], user: str, cause: str
) -> None:
    url = f"{lake(user)}/out.csv"
    with pytest.raises(OleriaInputError, match=cause) as raised:
        prepared(url, SaveOptions())

    assert f"Check the Airflow Connection {url[len('webhdfs://') :].partition('@')[0]!r}" in str(raised.value)
    assert files == {}


def test_a_server_that_cannot_be_reached_is_found_before_an_export_is_started(lake: Lake) -> None:
    with pytest.raises(OleriaDestinationError, match="out.csv' cannot be written: .*Connection refused"):
        prepared(f"{lake(port=1)}/out.csv", SaveOptions())
