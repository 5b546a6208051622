"""CSV records, wherever the chunks are cut: Python's csv module is the reference."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oleria.transfer.csv_records import (
    Header,
    Quotes,
    RecordCounter,
    last_record_end,
)
from tests.fuzzing import inputs

SAMPLES = {
    "nothing": "",
    "header only": "a,b\r\n",
    "header without newline": "a,b",
    "rows": "a,b\r\n1,2\r\n3,4\r\n",
    "no last newline": "a,b\n1,2\n3,4",
    "newline in quotes": 'a,b\n"1\n\n1",2\n"3\r\n",4\n',
    "escaped quotes": 'a,b\n"say ""hi""\nthere",2\n"""",4\n',
    "empty quoted": 'a,b\n"",""\n"","\n"\n',
    "quote at the end": 'a,b\n1,"2"',
    "quoted newline at the end": 'a\n"1\n"',
    "BOM, NUL and non-ASCII": "\ufeffa,b\nü\0,“”\n",
    "BOM before a quoted name": '\ufeff"a\n",b\n1,2\n',
    "an empty line instead of rows": "id,name\n\n",
    "empty lines": "\n\r\na,b\n\n1,2\n\r\n\r3,4\n\n\n",
    "empty lines in one column": "a\n1\n\n2\n\n",
    "a stray quote": 'a,b\n1,27" x\n' + "2,y\n" * 20,
    "a stray quote before a comma": 'a,b\n1",x\n' + "2,y\n" * 20,
    "a stray quote after a closing one": 'a,b\n"1"x",2\n' + "2,y\n" * 20,
    "a quote that is never closed": 'a,b\n1,"x\n' + "2,y\n" * 20,
    "a carriage return ends a line": "a,b\r1,2\r3,4\r",
    "all line ends": "a,b\r1,2\n3,4\r\n5,6\r\r\n\n\r7,8",
    "a stray quote in the header": 'a"\n,b\n1,2\n',
    "a header without end": 'a,"b\n1,2\n',
}


@pytest.fixture(autouse=True)
def _long_fields() -> Iterator[None]:
    limit = csv.field_size_limit(sys.maxsize)
    yield
    csv.field_size_limit(limit)


def records_of(content: bytes) -> list[list[str]]:
    """What Python's csv module reads; an empty line is a record in a single column only."""
    records = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    while records and not records[0]:
        del records[0]
    return [record for record in records if record or len(records[0]) == 1]


def counted(chunks: list[bytes]) -> RecordCounter:
    counter = RecordCounter()
    for chunk in chunks:
        counter.write(chunk)
    counter.close()
    return counter


def header_of(chunks: list[bytes]) -> tuple[Header, bytes]:
    header = Header()
    rest = b"".join(header.write(chunk) for chunk in chunks) + header.close()
    return header, rest


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES.keys())
def test_rows_are_the_csv_records_after_the_header(text: str) -> None:
    content = text.encode()

    assert {counted(cut(content, size)).row_count for size in (1, 2, 3, 5, 1000)} == {
        max(0, len(records_of(content)) - 1)
    }


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    scraps = st.sampled_from([*'",\n\ra é', "\r\n", '""', '","', ',"', '"\n', "\ufeff", "\0", "a,b\n"])
    content = "".join(draw(st.lists(scraps, max_size=40))).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=20)))
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


@given(chunks=chunked())
@inputs(5)
def test_rows_and_columns_are_those_of_the_csv_module(chunks: list[bytes]) -> None:
    records = records_of(b"".join(chunks))

    counter, (header, rest) = counted(chunks), header_of(chunks)

    assert counter.row_count == max(0, len(records) - 1)
    if header.columns:
        assert list(header.columns) == records[0]
        assert len([record for record in records_of(b"a,b\n" + rest) if record]) == 1 + len(
            [record for record in records[1:] if record]
        )
    else:
        assert len(records) <= 1  # nothing, or a header whose last quote is not closed


@given(chunks=chunked())
@inputs(3)
def test_a_csv_can_be_cut_at_the_last_record_end(chunks: list[bytes]) -> None:
    *before, last = [b"a,b\n", *chunks]
    quotes = Quotes()
    for chunk in before:
        quotes.read(chunk)

    end = last_record_end(quotes.before + last) - len(quotes.before)

    if end > 0:
        head, tail = b"".join(before) + last[:end], last[end:]
        assert all_records(head) + all_records(tail) == all_records(head + tail)
        assert len(all_records(tail)) <= 1


def all_records(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(errors="replace"), newline="")))


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("content", "columns"),
    {
        "a,b\n1,2\n": ("a", "b"),
        "\ufeffa,b\r\n1,2\r\n": ("a", "b"),
        '"a,\n""x""",b\n1,2\n': ('a,\n"x"', "b"),
        '"a"b,c"d,"",\n': ("ab", 'c"d', "", ""),
        "a,b": ("a", "b"),
        "": (),
        "\n\r\na,b\n1\n": ("a", "b"),
    }.items(),
)
def test_the_columns_of_a_header(content: str, columns: tuple[str, ...], size: int) -> None:
    assert header_of(cut(content.encode(), size))[0].columns == columns


def test_a_long_name_is_a_name() -> None:
    name = "x" * 200_000

    header, rest = header_of(cut(f'"{name}",b\n1,2\n'.encode(), 1000))

    assert (header.columns, rest) == ((name, "b"), b"1,2\n")
    assert counted([f"{name},b\n1,2\n".encode()]).row_count == 1


def test_a_first_line_without_an_end_is_not_kept_in_memory() -> None:
    header = Header()
    while not header.complete:
        header.write(b"x" * 100_000)

    assert header.columns == ()
    assert counted([b"x" * 1000] * 2000 + [b"\n1,2\n3,4\n"]).row_count == 2


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,2\n", None),
        ("a,b\nü,“\n".encode(), None),
        (b"a,b\n1,2\n3,\xff\n\xfe,6\n", "row 2: it is not UTF-8"),
        (b"a,b\n1,2\n3,4\n\xe2\x82", "row 3: it is not UTF-8"),
        (b"a,\xff\n1,2\n", "the header: it is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "the header: it is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "the header: it has NUL characters, as UTF-16 text does"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "row 2: a quoted field has no end"),
        (b'a,"b\n5,6\n', "the header: a quoted field has no end"),
        (b"\n", "the header: the CSV is empty"),
        (b"b,a,b\n5,6\n", "the header: several columns have the same name: numbers 1, 3"),
    ],
)
def test_what_readers_may_not_read_as_meant_is_said(content: bytes, problem: str | None, size: int) -> None:
    assert counted(cut(content, size)).problem == problem


@pytest.mark.parametrize(
    "part",
    ['"', '""', ',"', '"a,', '",', '"\n', 'a"', '"a""b",', "\n", "\r", ",", '"","x""y'],
)
def test_the_work_is_linear(part: str) -> None:
    # A quadratic step would run into the test's timeout.
    content = (part * (8_000_000 // len(part))).encode()

    counted(cut(content, 512 * 1024))
    header_of(cut(content[: 2**20], 1000))
    last_record_end(content)
