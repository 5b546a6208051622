"""The header, however the CSV is cut."""

from __future__ import annotations

import pytest

from airflow_provider_oleria.transfer.header import Header

CASES = {
    b"a,b\n1,2\n": ("a", "b"),
    b"\xef\xbb\xbfa,b\r\n1,2\r\n": ("a", "b"),
    b'"a,\n""x""",b\n1,2\n': ('a,\n"x"', "b"),
    b"a,b": ("a", "b"),
    b"": (),
    b"\n1\n": (),
}


@pytest.mark.parametrize(("content", "columns"), CASES.items())
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_it_is_read_once_and_the_rest_is_left_alone(
    content: bytes, columns: tuple[str, ...], size: int
) -> None:
    header = Header()
    complete = [header.add(content[at : at + size]) for at in range(0, len(content), size)]

    assert [*complete, header.finish()].count(True) == 1
    assert header.columns == columns


def test_a_first_line_without_an_end_is_not_kept_in_memory() -> None:
    header = Header()
    while not header.add(b"x" * 100_000):
        pass

    assert header.columns == ()
    assert not header.finish()
