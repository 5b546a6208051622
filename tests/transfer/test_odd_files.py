"""Files that a CSV reader may stumble over: saved as received, with a warning that names the row."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaCheckError

from .store import Answer, Line, Store


def as_is(_: int, answer: Answer) -> Answer:
    return answer


@pytest.mark.parametrize(
    ("content", "row_count", "warning"),
    [
        (b"id,name\n1,a\n2,\xe9\n", 2, "row 2: it is not UTF-8"),
        ("id,name\n1,a\n".encode("utf-16"), 2, "the header: it is not UTF-8"),
        ("id,name\n1,a\n".encode("utf-16-be"), 1, "the header: it has NUL characters"),
        (b'id,name\n1,a\n2,"b\n3,c\n', 2, "row 2: a quoted field has no end"),
        (b"id,id\n1,2\n", 1, "the header: several columns have the same name: numbers 1, 2"),
        (b"id,name\r1,a\r2,b\r", 2, None),
        (b'id,screen\n1,27" wide\n2,x\n', 2, None),
    ],
)
def test_it_is_saved_as_received_with_a_warning(
    line: Line, caplog: pytest.LogCaptureFixture, content: bytes, row_count: int, warning: str | None
) -> None:
    done = line.transfer(Store(as_is, content), SaveOptions())

    assert line.file.read_bytes() == content
    assert done.row_count == row_count
    if warning:
        assert f"The CSV may not be read as intended: {warning}" in caplog.text
    else:
        assert "may not be read" not in caplog.text


def test_an_empty_line_does_not_replace_the_previous_file(line: Line) -> None:
    line.file.write_bytes(b"id,name\n1,a\n")

    with pytest.raises(OleriaCheckError, match="min_rows: expected at least 1 rows; found 0"):
        line.transfer(Store(as_is, b"id,name\n\n"), SaveOptions(min_rows=1))

    assert line.file.read_bytes() == b"id,name\n1,a\n"
