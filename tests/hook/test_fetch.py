"""Fetching: however the store and the line behave, the bytes that are saved are those of the export."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaObjectChangedError,
    OleriaProtocolError,
    OleriaRetriesExhaustedError,
    OleriaTransferError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox

from .saving import ONE_STREAM, PARTS, ROWS, assert_whole, either_way, make, save


def ranges(sandbox: Sandbox) -> list[str | None]:
    return [call.range for call in sandbox.calls if call.kind == "fetch"]


def test_a_large_file_comes_in_parts_each_once_from_where_the_first_connection_is(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    save(large_download, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    whole, *parts = ranges(oleria_sandbox)
    stretches = sorted(tuple(map(int, re.findall(r"\d+", part or ""))) for part in parts)
    assert whole is None
    assert len(parts) >= PARTS.max_concurrency
    assert 0 < stretches[0][0] < PARTS.part_size
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(stretches))
    assert stretches[-1][1] == oleria_sandbox.expected(large_download).size_bytes - 1
    assert oleria_sandbox.count("get") == 1


def test_a_connection_that_is_fast_enough_brings_a_large_file_alone(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    save(large_download, tmp_path / "out.csv", fast_connection=1.0)

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert ranges(oleria_sandbox) == [None]


def test_the_hook_fetches_in_parts_where_the_store_limits_each_connection(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.bytes_per_second = 100_000
    OleriaHook().save_download(
        large_download,
        (tmp_path / "out.csv").as_uri(),
        SaveOptions(max_concurrency=16, part_size=PARTS.part_size),
    )

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert len(ranges(oleria_sandbox)) > 2


def test_a_small_file_takes_one_plain_get(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    save(large_download, tmp_path / "out.csv", SaveOptions())

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert [(call.method, call.range) for call in oleria_sandbox.calls if call.kind == "fetch"] == [
        ("GET", None)
    ]


def test_a_store_without_ranges_is_read_in_one_stream(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.ranges = False
    save(large_download, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert ranges(oleria_sandbox) == [None]


def test_a_store_that_announces_ranges_but_serves_none_is_not_fetched_twice(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.ranges = False
    oleria_sandbox.fail(Fault(kind="fetch", headers={"Accept-Ranges": "bytes"}))
    save(large_download, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert len(ranges(oleria_sandbox)) == 2


@either_way
@pytest.mark.parametrize("breaks", [{"cut": 30_000}, {"stall": 30_000}, {"drop": True}, {"status": 500}])
def test_a_broken_transfer_is_taken_up_at_the_next_missing_byte(
    oleria_sandbox: Sandbox,
    large_download: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: SaveOptions,
    breaks: dict,
) -> None:
    connection = oleria_sandbox.connection_json().replace('"extra": {', '"extra": {"timeout": 0.3, ')
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection)
    oleria_sandbox.fail(Fault(kind="fetch", times=3, **breaks))
    save(large_download, tmp_path / "out.csv", options)

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    if options is ONE_STREAM and "cut" in breaks:
        starts = [value and value.split("-")[0] for value in ranges(oleria_sandbox)]
        assert starts == [None, "bytes=30000", "bytes=60000", "bytes=90000"]


def test_progress_resets_the_attempts_so_a_hundred_breaks_are_survived(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", cut=5_000, times=100))
    save(large_download, tmp_path / "out.csv", ONE_STREAM)

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert oleria_sandbox.count("fetch") > 100


def test_a_url_that_expires_on_the_way_is_renewed(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.url_seconds = 0.5
    oleria_sandbox.settings.bytes_per_second = 400_000
    oleria_sandbox.fail(Fault(kind="fetch", cut=300_000))
    save(large_download, tmp_path / "out.csv", ONE_STREAM)

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    refused = sum(call.status == 403 for call in oleria_sandbox.calls if call.kind == "fetch")
    assert oleria_sandbox.count("get") == 1 + refused > 1


def test_an_expired_url_is_renewed_once_for_all_parts(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    # The first of the four parts is requested alone; the others are on their way together.
    oleria_sandbox.fail(Fault(kind="fetch", nth=3, times=3, expired=True, delay=1))
    save(large_download, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert oleria_sandbox.count("get") == 2


def test_a_url_that_is_never_accepted_is_given_up(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", expired=True, times=None))
    with pytest.raises(
        OleriaRetriesExhaustedError,
        match="403 AccessDenied: the presigned URL is not, or no longer, accepted",
    ):
        save(large_download, tmp_path / "out.csv")

    assert not list(tmp_path.iterdir())


@either_way
def test_an_object_that_changes_is_fetched_again_and_never_spliced(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, options: SaveOptions
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000, replaces=True))
    save(large_download, tmp_path / "out.csv", options)

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")
    assert 412 in [call.status for call in oleria_sandbox.calls]


def test_an_object_that_keeps_changing_is_an_error(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").write_text("before")
    for nth in (2, 4):
        oleria_sandbox.fail(Fault(kind="fetch", status=412, nth=nth))
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000, times=None))
    with pytest.raises(OleriaObjectChangedError, match="was replaced in the store during the transfer"):
        save(large_download, tmp_path / "out.csv", ONE_STREAM)

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@either_way
def test_content_encoding_is_taken_off(
    oleria_sandbox: Sandbox, tmp_path: Path, options: SaveOptions, encoding: str
) -> None:
    oleria_sandbox.settings.update({"rows": ROWS, "export_seconds": 0, "content_encoding": encoding})
    large_download = make(oleria_sandbox)
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000))
    save(
        large_download,
        tmp_path / "out.csv",
        SaveOptions(max_concurrency=options.max_concurrency, part_size=32_768),
    )

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")


@either_way
def test_a_url_that_is_not_https_is_refused_once(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, options: SaveOptions
) -> None:
    """The API would give the same URL again."""
    url = "http://store.example/x.csv?X-Amz-Signature=f00d"
    oleria_sandbox.fail(Fault(kind="get", fields={"url": url}, times=None))
    before = oleria_sandbox.count("get")
    with pytest.raises(OleriaProtocolError, match="the presigned URL is not https"):
        save(large_download, tmp_path / "out.csv", options)

    assert oleria_sandbox.count("get") - before == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_content_encoding_is_not_saved_as_if_it_were_csv(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", headers={"Content-Encoding": "br"}))
    with pytest.raises(OleriaTransferError, match="the file has the unknown Content-Encoding 'br'"):
        save(large_download, tmp_path / "out.csv")

    assert not list(tmp_path.iterdir())
