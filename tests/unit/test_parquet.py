"""A Parquet file holds what the CSV holds, or an error reports why not."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oleria.exceptions import OleriaFatalError, OleriaFormatError
from airflow_provider_oleria.transfer import parquet
from airflow_provider_oleria.transfer.formats import SaveOptions
from tests.fuzzing import inputs

from .csv_contents import (
    BOM,
    DEFAULTS,
    FIELDS,
    LONG,
    SCRAPS,
    chunked,
    counted,
    in_csv,
    new_writer,
    parsed,
    rows_of,
    table_of,
    well_formed,
    written,
)


@pytest.mark.parametrize("size", range(20))
def test_a_crlf_in_quotes_survives_wherever_a_block_ends(size: int) -> None:
    content = b'a,b\r\n1,2\r\n"%b","x\r\ny\r\n"\r\n3,4\r\n' % (b"0" * (40 + size))
    assert rows_of(pq.read_table(io.BytesIO(written("out.parquet", [content])))) == parsed(content)[1:]


@given(chunks=chunked(well_formed()), row_group_size=st.integers(1, 5))
@inputs(3)
def test_parquet_holds_the_cells_of_a_well_formed_csv(chunks: list[bytes], row_group_size: int) -> None:
    content = b"".join(chunks)
    names, *rows = parsed(content)

    file = pq.ParquetFile(
        io.BytesIO(written("out.parquet", chunks, SaveOptions(row_group_size=row_group_size)))
    )

    table = file.read()
    assert table.column_names == names
    assert rows_of(table) == rows
    sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    full, rest = divmod(len(rows), row_group_size)
    assert sizes == [row_group_size] * full + [rest] * bool(rest or not rows)


@given(chunks=chunked(st.one_of(SCRAPS, SCRAPS.map(b"a,b\n1,2\n".__add__), SCRAPS.map(b"a\n1\n".__add__))))
@inputs(10)
def test_parquet_holds_the_cells_of_any_csv_or_it_is_refused(chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    try:
        table = pq.read_table(io.BytesIO(written("out.parquet", chunks)))
    except OleriaFormatError:
        return
    assert [table.column_names, *rows_of(table)] == parsed(content)
    assert table.num_rows == counted(chunks)


@given(chunks=chunked(well_formed(st.one_of(FIELDS, LONG))))
@inputs(0.15)
def test_long_fields(chunks: list[bytes]) -> None:
    _, *rows = parsed(b"".join(chunks))

    assert rows_of(pq.read_table(io.BytesIO(written("out.parquet", chunks)))) == rows
    assert counted(chunks) == len(rows)


def test_every_column_is_a_string_unless_said_otherwise() -> None:
    table = table_of('code,days,note\n007,5,""\n010,,NA\n', column_types={"days": "int64"})

    assert table.schema.types == [pa.string(), pa.int64(), pa.string()]
    assert table.to_pydict() == {"code": ["007", "010"], "days": [5, None], "note": ["", "NA"]}


@pytest.mark.parametrize("column", ["x", "a b"])
def test_a_typed_column_may_have_any_name(column: str) -> None:
    assert table_of(f"{column},y\n1,2\n", column_types={column: "int64"}).column(column).to_pylist() == [1]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("int32", "-7", -7),
        ("double", "1.5", 1.5),
        ("bool", "true", True),
        ("date32", "2026-11-01", date(2026, 11, 1)),
        ("timestamp", "2026-11-01T10:00:00.123456Z", datetime(2026, 11, 1, 10, 0, 0, 123456, UTC)),
        ("timestamp[ms, tz=UTC]", "2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("timestamp[s]", "2026-11-01 10:00:00", datetime(2026, 11, 1, 10)),
    ],
)
def test_typed_columns(name: str, text: str, value: object) -> None:
    table = table_of(f'a,b\n1,{text}\n2,\n3,""\n', column_types={"b": name})

    assert table.column("b").to_pylist() == [value, None, None]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("timestamp", "2026-11-01T10:00:00.1234567Z", datetime(2026, 11, 1, 10, 0, 0, 123456, UTC)),
        ("timestamp", "2026-11-01T10:00:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("timestamp[ms]", "2026-11-01T10:00:00Z", datetime(2026, 11, 1, 10)),
        ("timestamp[ms]", "2026-11-01T12:00:00.9876543+02:00", datetime(2026, 11, 1, 10, 0, 0, 987000)),
        ("timestamp[s]", "2026-11-01 10:00:00.5", datetime(2026, 11, 1, 10)),
        ("timestamp[us]", "9999-12-31T00:00:00.0000000Z", datetime(9999, 12, 31)),
    ],
)
def test_timestamps_are_read_with_any_fraction_and_with_or_without_a_zone(
    name: str, text: str, value: object
) -> None:
    for rows in (f"1,{text}\n2,\n", f"1,{text}\n2,\n3,2026-11-02T00:00:00Z\n4,2026-11-02T00:00:00\n"):
        assert table_of(f"a,b\n{rows}", column_types={"b": name}).column("b").to_pylist()[:2] == [value, None]


@pytest.mark.parametrize("size", [7, 1000])
def test_a_value_that_does_not_fit_is_named_by_column_and_row_and_not_repeated(size: int) -> None:
    rows = "".join(f"{number},{number}\n" for number in range(1, 20))

    with pytest.raises(OleriaFatalError, match=r"row 20, column 'days': .* type int64") as caught:
        table_of(f"id,days\n{rows}20,soon\n21,21\n22,later\n", size, column_types={"days": "int64"})

    assert "soon" not in str(caught.value)


def test_values_that_are_null_and_values_that_do_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    rows = ["30,true,N/A", "30+,-,N/A", "N/A,yes,-", "50+,,", ",false,30+"] * 40
    content = ("days,active,note\n" + "\n".join(rows)).encode()
    file = io.BytesIO()
    writer = new_writer(
        "out.parquet",
        file.write,
        SaveOptions(
            column_types={"days": "int64", "active": "bool"},
            null_values=["N/A", "-"],
            on_type_error="null",
        ),
    )
    for start in range(0, len(content), 7):
        writer.write(content[start : start + 7])
    writer.close()

    table = pq.read_table(file)
    assert table["days"].to_pylist() == [30, None, None, None, None] * 40
    assert table["active"].to_pylist() == [True, None, None, None, False] * 40
    assert table["note"].to_pylist() == ["N/A", "N/A", "-", "", "30+"] * 40
    assert writer.type_errors == 120
    assert "120 values did not fit the type of their column and were written as null" in caplog.text
    assert "days 80" in caplog.text
    assert "active 40" in caplog.text


@given(
    texts=st.lists(
        st.sampled_from(["1", "-7", "30+", "", "x", "N/A", 'a"b', "c\nd", "1e3", " 5"]), min_size=1
    )
)
def test_only_values_that_fit_survive(texts: list[str]) -> None:
    content = "id,days\n" + "".join(f"{row},{in_csv(text, True)}\n" for row, text in enumerate(texts))

    table = table_of(content, column_types={"days": "int64"}, on_type_error="null")

    fitting = {"1": 1, "-7": -7, " 5": 5}
    assert rows_of(table) == [[str(row), fitting.get(text)] for row, text in enumerate(texts)]


ROW_TEXT = "anna@example.com"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the header: the CSV is empty"),
        (BOM, "the header: the CSV is empty"),
        ("\r\n\n", "the header: the CSV is empty"),
        ("a,b,a\n1,2,3\n", "the header: .*same name: numbers 1, 3$"),
        ("a,b\n1,2\n3\n", "row 2: expected 2 columns, got 1$"),
        ("a,b\n" + "1,2\n" * 30 + "1,2,3\n", "row 31: expected 2 columns, got 3$"),
        ("a,b\n" + "1,2\n\n" * 30 + "1,2,3\n", "row 31: expected 2 columns, got 3$"),
        ('a,b\n1,2\n3,"2\n3,4\n', "row 2: a quoted field has no end"),
        ("a,b\n" + "1,2\n" * 30 + '3,"2\n3,4\n', "row 31: a quoted field has no end"),
        ('a,"b\n', "the header: it has no end"),
        (b"a,b\n1,\xff\n", "row 1, column 2: it is not UTF-8$"),
        (b"a,b\n" + b"1,2\n" * 30 + b"\xfe,3\n", "row 31, column 1: it is not UTF-8$"),
        (b"a,\xff\n1,2\n", "the header: it is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "the header: it is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "the header: .* UTF-16"),
    ],
)
def test_a_csv_that_cannot_be_represented_is_refused(content: str | bytes, said: str) -> None:
    with pytest.raises(OleriaFormatError, match=said):
        table_of(content)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        ("\r\na,b\r\n1,2\r\n", [["1", "2"]]),
        ("a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        ('a,b\n1,2" x\n3,4" y\n', [["1", '2" x'], ["3", '4" y']]),
        ('""a",b,"c"\n1,2,3\n', [["1", "2", "3"]]),
        ("a\n1\n\n2\n", [["1"], [""], ["2"]]),
    ],
)
def test_what_the_csv_module_can_read_is_written(content: str, rows: list[list[str]]) -> None:
    for size in (1, 2, 3, 1000):
        assert rows_of(table_of(content, size)) == rows


def test_a_name_longer_than_the_csv_modules_limit() -> None:
    name = "x" * 200_000

    assert table_of(f"{name},b\n1,2\n", 50_000).column_names == [name, "b"]


def test_a_header_of_many_columns() -> None:
    names = [f"column {number}" for number in range(20_000)]

    with pytest.raises(OleriaFormatError, match="same name: numbers 8, 20001$"):
        table_of(",".join([*names, "column 7"]), 50_000)


def test_a_field_of_megabytes() -> None:
    field = 'long "field",\r\n' * 200_000

    table = table_of(f"a,b\n1,{in_csv(field, True)}\n2,short\n", size=64 * 1024)

    assert rows_of(table) == [["1", field], ["2", "short"]]


def test_a_quote_left_open_does_not_swallow_the_rows_after_it() -> None:
    # Two stray quotes that cancel out: the rows between them could pass for one field, and be counted right.
    with pytest.raises(OleriaFormatError):
        table_of('a,b\n1,""x"\n2,"y\n z\n' + "3,4\n" * 20)


def test_a_record_without_end_is_given_up() -> None:
    writer = new_writer("out.parquet", io.BytesIO().write, DEFAULTS, record=1000)
    writer.write(b'a\n"')

    with pytest.raises(OleriaFormatError, match="a quoted field has no end"):
        for _ in range(200):
            writer.write(b"1,2\n3\n")


def test_a_header_alone_gives_the_schema_and_no_rows() -> None:
    for content in ("a,b", "a,b\r\n", f"{BOM}a,b\n"):
        table = table_of(content, column_types={"b": "int64"})
        assert (table.column_names, table.schema.types, table.num_rows) == (
            ["a", "b"],
            [pa.string(), pa.int64()],
            0,
        )


def test_a_column_type_for_a_column_that_is_not_there() -> None:
    with pytest.raises(OleriaFormatError, match=r"does not have: c\. Its header is a, b"):
        table_of("a,b\n1,2\n", column_types={"a": "int64", "c": "int64"})


@pytest.mark.parametrize(
    ("content", "types"),
    [
        (f"1,{ROW_TEXT}\n2,x\n", {"id": "int64"}),
        (f"{ROW_TEXT},{ROW_TEXT}\n", {}),
        (f"id,name\n{ROW_TEXT},x\n", {"id": "int64"}),
        (f"id,name\n1,x,{ROW_TEXT}\n", {}),
        (f"id,name\n1,x,{ROW_TEXT}\n", {"id": "int64"}),
        (f"{ROW_TEXT},name\n1,x\n".encode() + b"\xff,x\n", {}),
        (f'id,name\n1,"{ROW_TEXT}', {}),
    ],
)
def test_an_error_shows_no_value_of_the_file(content: str | bytes, types: dict[str, str]) -> None:
    with pytest.raises(OleriaFormatError) as caught:
        table_of(content, column_types=types)

    problem: BaseException | None = caught.value
    while problem is not None:
        assert ROW_TEXT not in repr(problem)
        problem = problem.__cause__ or problem.__context__


def test_a_conversion_looks_at_each_column_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    typed = parquet.ParquetWriter._typed
    monkeypatch.setattr(
        parquet.ParquetWriter,
        "_typed",
        lambda self, name, *rest: looked_at.append(name) or typed(self, name, *rest),
    )
    names = [f"column{number}" for number in range(2000)]
    types = dict.fromkeys(names[:100], "int64")

    table = table_of(
        f"{','.join(names)}\n{','.join(['x'] * 2000)}\n", column_types=types, on_type_error="null"
    )

    assert looked_at == list(types)
    assert table.column_names == names


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
def test_compression(compression: str) -> None:
    content = written("out.PARQUET", [b"a\n1\n"], SaveOptions(compression=compression))

    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    assert column.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())


def test_a_row_group_of_large_rows_ends_earlier() -> None:
    content = written("out.parquet", [b"a\n", *[b"x" * 60 + b"\n"] * 10], row_group=100)

    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    assert metadata.num_rows == 10
    assert metadata.num_row_groups >= 5
