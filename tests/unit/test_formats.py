"""Formats by suffix: the file holds what the CSV holds, whatever the format."""

from __future__ import annotations

import gc
import gzip
import io
import sys
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import zstandard
from hypothesis import given

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer import parquet
from airflow_provider_oleria.transfer.formats import SaveOptions, check_options

from .csv_contents import (
    ANYTHING,
    DEFAULTS,
    chunked,
    new_writer,
    written,
)

Read = Callable[[bytes], bytes]

BYTE_FORMATS: dict[str, Read] = {
    "out.csv": bytes,
    "out.CSV": bytes,
    "out.csv.bak": bytes,
    "out": bytes,
    "out.csv.gz": gzip.decompress,
    "OUT.CSV.GZ": gzip.decompress,
    "out.csv.zst": lambda content: zstandard.ZstdDecompressor().stream_reader(content).read(),
}


@pytest.mark.parametrize("path", BYTE_FORMATS)
@given(chunks=chunked(ANYTHING))
def test_csv_comes_back_byte_for_byte(path: str, chunks: list[bytes]) -> None:
    assert BYTE_FORMATS[path](written(path, chunks)) == b"".join(chunks)


# -- the file is the caller's -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a.csv", "a.csv.gz", "a.csv.zst", "a.parquet"])
def test_after_abort_nothing_is_written_and_no_thread_is_left(path: str) -> None:
    threads, file = threading.active_count(), io.BytesIO()
    options = SaveOptions(row_group_size=1) if path == "a.parquet" else DEFAULTS
    writer = new_writer(path, file.write, options)
    writer.write(b"a,b\n" + b"1,2\n" * 100)

    writer.abort()
    size = file.tell()  # a row group may have been in the midst of being written
    del writer
    gc.collect()

    assert not file.getvalue()[4:].endswith(b"PAR1"), "it has a footer"
    assert (file.tell(), file.closed, threading.active_count()) == (size, False, threads)


@pytest.mark.parametrize("path", ["a.csv", "a.csv.gz", "a.csv.zst", "a.parquet"])
def test_an_error_of_the_file_is_passed_on(path: str) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    writer = new_writer(path, Full().write, DEFAULTS)

    with pytest.raises(OSError, match="No space left"):
        for chunk in (b"a,b\n", b"1,2\n" * 100):
            writer.write(chunk)
        writer.close()
    writer.abort()


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst"])
def test_the_same_csv_gives_the_same_file_however_it_is_cut(suffix: str) -> None:
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (row, row * row) for row in range(200_000))
    files = [
        written(f"out{suffix}", [content[start : start + size] for start in range(0, len(content), size)])
        for size in (100_000, 2_000_000)
    ]

    assert files[0] == files[1]
    assert BYTE_FORMATS[f"out{suffix}"](files[0]) == content


def test_a_gzip_has_neither_name_nor_time_and_one_stream() -> None:
    content = b"a,b\n" + b"1,2\n" * 500_000
    file = written("here/one.csv.gz", [content])

    assert file[3:8] == bytes(5)
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    assert stream.decompress(file) == content  # naive readers stop where the first stream ends
    assert (stream.eof, stream.unused_data) == (True, b"")


# -- before an export is started --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("a.csv", {"column_types": {"a": "int64"}}, "column_types has no effect on 'a.csv'"),
        ("a.csv", {"null_values": ["-"]}, "null_values has no effect on 'a.csv'"),
        ("a.csv", {"on_type_error": "null"}, "on_type_error has no effect on 'a.csv'"),
        ("a.csv.gz", {"compression": "snappy"}, "compression has no effect"),
        ("a.csv.zst", {"row_group_size": 5}, "row_group_size has no effect"),
        ("a.parquet", {"column_types": {"a": "number"}}, "column_types: 'number' .column 'a'. is no type"),
        *(
            (
                "a.parquet",
                {"column_types": {"a": f"timestamp[ms, tz={zone}]"}},
                ".column 'a'. names an unknown time zone",
            )
            for zone in ("Europe/Berln", "Z", "+25:00")
        ),
        ("a.parquet", {"column_types": {"a": "halffloat"}}, "column_types: 'halffloat'"),
        ("a.parquet", {"column_types": {"a": int}}, "column_types must be a dict"),
        ("a.parquet", {"column_types": ["a"]}, "column_types must be a dict"),
        ("a.parquet", {"compression": "bz2"}, "compression must be one of zstd, .*, not 'bz2'"),
        ("a.parquet", {"row_group_size": 0}, "row_group_size must be at least 1, not 0"),
        ("a.parquet", {"row_group_size": True}, "row_group_size must be"),
    ],
)
def test_wrong_options(path: str, options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(OleriaInputError, match=said):
        check_options(path, SaveOptions(**options))


@pytest.mark.parametrize("path", [*BYTE_FORMATS, "a.parquet"])
def test_right_options(path: str) -> None:
    check_options(path, DEFAULTS)
    check_options(path, SaveOptions(column_types={}, null_values=[]))


@pytest.mark.parametrize(
    ("path", "library", "extra"), [("a.parquet", "pyarrow", "parquet"), ("a.csv.zst", "zstandard", "zstd")]
)
def test_a_missing_extra_is_named(
    path: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, parquet.__name__)
    monkeypatch.delattr("airflow_provider_oleria.transfer.parquet")

    with pytest.raises(OleriaInputError, match=rf"pip install 'airflow-provider-oleria\[{extra}\]'"):
        check_options(path, DEFAULTS)
