"""Counting CSV records, wherever the chunks are cut."""

from __future__ import annotations

import csv
import io

import pytest

from airflow_provider_oleria.transfer.csv_records import RecordCounter

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
}


def count(text: str, size: int) -> int:
    counter, content = RecordCounter(), text.encode()
    for start in range(0, len(content), size):
        counter.add(content[start : start + size])
    return counter.rows


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES.keys())
def test_rows_are_the_csv_records_after_the_header(text: str) -> None:
    records = len(list(csv.reader(io.StringIO(text, newline=""))))

    assert {count(text, size) for size in (1, 2, 3, 5, 1000)} == {max(0, records - 1)}
