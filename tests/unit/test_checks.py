"""Checks of the header and of the number of rows."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaCheckError, OleriaInputError
from airflow_provider_oleria.transfer.checks import Checks
from airflow_provider_oleria.transfer.csv_records import RecordCounter


def check(content: bytes, size: int, **options: object) -> None:
    records = RecordCounter()
    checks = Checks(SaveOptions(**options))
    for start in range(0, len(content), size):
        records.write(content[start : start + size])
        checks.write(content[start : start + size])
    records.close()
    checks.close(records.row_count)


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    "content",
    [b"a,b c\r\n1,2\r\n", b"\xef\xbb\xbfa,b c\n", b'"a","b c"\n1,2\n', b"a,b c"],
)
def test_the_header_is_read_as_csv(content: bytes, size: int) -> None:
    check(content, size, exact_columns=["a", "b c"])
    check(content, size, required_columns=["b c"])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_file_may_have_max_bytes_and_no_more(size: int) -> None:
    check(b"a\n1\n2\n", size, max_bytes=6)
    with pytest.raises(
        OleriaCheckError, match="max_bytes: expected at most 5 bytes; found more. The previous"
    ):
        check(b"a\n1\n2\n", size, max_bytes=5)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_newline_within_a_quoted_name_does_not_end_the_header(size: int) -> None:
    check(b'"a\nb",c\n1,2\n', size, exact_columns=["a\nb", "c"])


@pytest.mark.parametrize("content", [b"", b"\n", b"\0\r\r", b'"' + b"x" * 200_000])
def test_no_header_does_not_pass_for_one(content: bytes) -> None:
    with pytest.raises(OleriaCheckError, match="exact_columns: expected a; found"):
        check(content, 1000, exact_columns=["a"])


def test_the_order_of_columns_matters_to_exact_columns_only() -> None:
    check(b"b,a\n", 10, required_columns=["a", "b"])
    with pytest.raises(OleriaCheckError, match="expected a, b; found b, a"):
        check(b"b,a\n", 10, exact_columns=["a", "b"])


def test_min_rows() -> None:
    check(b"a\n1\n", 10, min_rows=1)
    with pytest.raises(OleriaCheckError, match="min_rows: expected at least 2 rows; found 1"):
        check(b"a\n1\n", 10, min_rows=2)


def test_an_empty_line_is_no_row() -> None:
    with pytest.raises(OleriaCheckError, match="min_rows: expected at least 1 rows; found 0"):
        check(b"id,name\n\n", 10, min_rows=1)


def test_a_stray_quote_hides_no_rows() -> None:
    check(b'id,screen\n1,27" wide\n' + b"2,x\n" * 2000, 1000, min_rows=2000)


def test_control_characters_of_the_header_are_escaped() -> None:
    with pytest.raises(OleriaCheckError, match=r"found a\\x1b\[2J\\x85, b\. The previous file was kept"):
        check('"a\x1b[2J\x85",b\n'.encode(), 10, required_columns=["b", "id"])


@pytest.mark.parametrize(
    "content",
    [
        b"anna@example.com,AdministratorAccess\n",
        b"<html><p>anna@example.com, AdministratorAccess</p></html>",
        b'{"error": "anna@example.com", "role": "AdministratorAccess"}',
    ],
)
@pytest.mark.parametrize("option", ["required_columns", "exact_columns"])
def test_a_first_row_without_an_expected_name_is_not_shown(content: bytes, option: str) -> None:
    with pytest.raises(OleriaCheckError, match="expected id, mail; found 2 columns, none with") as caught:
        check(content, 10, **{option: ["id", "mail"]})

    assert "anna" not in str(caught.value)
    assert "Admin" not in str(caught.value)


def test_a_header_that_may_have_swallowed_rows_is_not_shown() -> None:
    content = b'id,"mail\nanna@example.com,"Admin",x\n'
    with pytest.raises(OleriaCheckError, match="found 3 columns, one with a line end in its name") as caught:
        check(content, 10, required_columns=["id", "mail"])

    assert "anna" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"required_columns": "a,b"},
        {"null_values": "-"},
        {"on_type_error": "skip"},
        {"max_concurrency": 0},
        {"part_size": 0},
    ],
)
def test_wrong_options_are_refused_at_once(wrong: dict) -> None:
    with pytest.raises(OleriaInputError, match=next(iter(wrong))):
        SaveOptions(**wrong)
