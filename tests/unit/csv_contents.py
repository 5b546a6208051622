"""CSV files of any content, cut anywhere, and what is written of them."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from airflow_provider_oleria.transfer import parquet
from airflow_provider_oleria.transfer.csv_records import RecordCounter
from airflow_provider_oleria.transfer.formats import SaveOptions, Writer, writer_for

BOM = "\ufeff"
DEFAULTS = SaveOptions()


def new_writer(path: str, write: Callable[[bytes], object], options: SaveOptions, **sizes: int) -> Writer:
    """A format's writer; with Parquet's pieces of a few bytes, small contents are cut as large ones are."""
    writer = writer_for(path, write, options)
    if isinstance(writer, parquet.ParquetWriter):
        return parquet.ParquetWriter(write, options, parquet.Sizes(**{"piece": 16, "block": 64, **sizes}))
    return writer


def written(path: str, chunks: list[bytes], options: SaveOptions = DEFAULTS, **sizes: int) -> bytes:
    file = io.BytesIO()
    writer = new_writer(path, file.write, options, **sizes)
    for chunk in chunks:
        writer.write(chunk)
    writer.close()
    assert not file.closed
    return file.getvalue()


def table_of(content: str | bytes, size: int = 7, **options: Any) -> pa.Table:
    content = content.encode() if isinstance(content, str) else content
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    return pq.read_table(io.BytesIO(written("out.parquet", chunks, SaveOptions(**options))))


def rows_of(table: pa.Table) -> list[list[Any]]:
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def parsed(content: bytes) -> list[list[str]]:
    """What Python's csv module reads. An empty line is an empty value where there is one column, else no row."""
    text = io.StringIO(content.decode("utf-8-sig").lstrip("\r\n"), newline="")
    limit = csv.field_size_limit(sys.maxsize)
    try:
        header, *rows = csv.reader(text)
    finally:
        csv.field_size_limit(limit)
    return [header, *(row or [""] for row in rows if row or len(header) == 1)]


# What CSV readers and writers stumble over, and ordinary text.
AWKWARD = st.text(st.sampled_from([*'a0,"\r\n\0 é', BOM]), max_size=12)
LONG = st.integers(1, 1_200_000).map(lambda length: ('long "field",\r\n' * (length // 15 + 1))[:length])
FIELDS = st.one_of(AWKWARD, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
SCRAPS = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"12", b"\0", b"\xff", BOM.encode()]),
    max_size=40,
).map(b"".join)


@st.composite
def well_formed(draw: st.DrawFn, fields: st.SearchStrategy[str] = FIELDS) -> bytes:
    names = draw(
        st.lists(
            FIELDS.filter(lambda name: BOM not in name and "\0" not in name),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    rows = draw(st.lists(st.lists(fields, min_size=len(names), max_size=len(names)), max_size=12))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    quote_all = draw(st.booleans())
    records = [
        ",".join(in_csv(field, quote_all or len(names) == 1) for field in row) for row in [names, *rows]
    ]
    last = draw(st.sampled_from(["", newline]))
    return (draw(st.sampled_from(["", BOM])) + newline.join(records) + last).encode()


def in_csv(field: str, quoted: bool) -> str:
    """As RFC 4180 has it; csv.writer leaves a carriage return unquoted before Python 3.13."""
    if quoted or any(character in field for character in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field


@st.composite
def chunked(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> list[bytes]:
    content = draw(contents)
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=20)))
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


ANYTHING = st.one_of(well_formed(), SCRAPS, st.binary(max_size=200))


def counted(chunks: list[bytes]) -> int:
    counter = RecordCounter()
    for chunk in chunks:
        counter.write(chunk)
    counter.close()
    return counter.row_count
