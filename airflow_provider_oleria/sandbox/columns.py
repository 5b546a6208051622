"""Columns of made-up data, each row computed from its number alone.

A column's values stand in a table; a row takes the entry at its number modulo the table's length. The tables of a
data context have different prime lengths, so that its rows repeat only after far more rows than anyone exports.
Neighbouring rows are slices of the tables, which makes millions of rows a matter of seconds; and whatever is asked of
a value (its CSV cell, whether a filter lets it pass, its place in a sort order) is worked out once per entry, not
once per row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import total_ordering
from typing import Any, Protocol, TypeVar

from airflow_provider_oleria.sandbox.days import changes

Value = str | int | float | bool | datetime | None
Result = TypeVar("Result")
Lookup = Callable[[Sequence[int]], Sequence[Result]]
"""From row numbers to what their rows hold."""

REFERENCE_MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
"""The sandbox's "now": all timestamps lie before it, and the filter ``last`` counts back from it."""

_STEP = 7
"""How far on in its table a row that changes finds its next value."""

_NEEDS_QUOTES = re.compile(r'[",\r\n]')


class Column(Protocol):
    """One column of a data context."""

    @property
    def name(self) -> str:
        """The column's heading."""

    @property
    def data_type(self) -> str:
        """The column's type, as filters name it."""

    def each(self, function: Callable[[Value], Result]) -> Lookup[Result]:
        """What ``function`` makes of the value of each row."""

    def order(self, *, descending: bool) -> Lookup[Any]:
        """Sort keys of the rows; those of empty values are the greatest either way."""


class TableColumn:
    """A column whose values come out of a table.

    :param name: the heading.
    :param data_type: string, number, boolean, timestamp or enum.
    :param table: the values.
    :param offset: which entry row 0 takes.
    :param day: how many days a column that changes has been changing.
    """

    def __init__(
        self, name: str, data_type: str, table: Sequence[Value], offset: int = 0, day: int = 0
    ) -> None:
        self.name = name
        self.data_type = data_type
        self._table = table
        self._offset = offset
        self._day = day

    def each(self, function: Callable[[Value], Result]) -> Lookup[Result]:
        """See :class:`Column`."""
        return cyclic([function(value) for value in self._table], self._offset, self._day)

    def order(self, *, descending: bool) -> Lookup[int]:
        """See :class:`Column`."""
        known: list[Any] = sorted({value for value in self._table if value is not None}, reverse=descending)
        ranks: dict[Value, int] = {value: rank for rank, value in enumerate(known)}
        return self.each(lambda value: len(known) if value is None else ranks[value])


class NumberedColumn:
    """A text column that holds the row's number, and so is different in every row.

    :param name: the heading.
    :param stems: the text before the number, by row.
    :param digits: the number's format.
    :param tail: the text behind the number.
    """

    data_type = "string"

    def __init__(self, name: str, stems: Lookup[str], digits: str = "d", tail: str = "") -> None:
        self.name = name
        self._stems = stems
        self._digits = digits
        self._tail = tail

    def _values(self, rows: Sequence[int]) -> list[str]:
        digits, tail = self._digits, self._tail
        return [f"{stem}{row:{digits}}{tail}" for stem, row in zip(self._stems(rows), rows, strict=True)]

    def each(self, function: Callable[[Value], Result]) -> Lookup[Result]:
        """See :class:`Column`."""
        return lambda rows: [function(value) for value in self._values(rows)]

    def order(self, *, descending: bool) -> Lookup[Any]:
        """See :class:`Column`."""
        return (
            (lambda rows: [_Backwards(value) for value in self._values(rows)]) if descending else self._values
        )


def cyclic(table: Sequence[Result], offset: int, day: int = 0) -> Lookup[Result]:
    """Looks rows up in a table that repeats for ever.

    :param table: the entries.
    :param offset: which entry row 0 takes.
    :param day: how many days have passed; a row that changes takes another entry.
    """
    entries, period = list(table), len(table)

    def look_up(rows: Sequence[int]) -> Sequence[Result]:
        if day:
            return [entries[(row + offset + _STEP * changes(row, day)) % period] for row in rows]
        if isinstance(rows, range):  # neighbours, as in every unfiltered and unsorted export
            start = (rows.start + offset) % period
            return (entries * (len(rows) // period + 2))[start : start + len(rows)]
        return [entries[(row + offset) % period] for row in rows]

    return look_up


def as_cell(value: Value) -> str:
    """The value as it stands in the CSV (RFC 4180); nothing for an empty one."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case _:
            text = str(value)
            return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


@total_ordering
class _Backwards:
    """Text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and self.text == other.text

    def __lt__(self, other: _Backwards) -> bool:
        return self.text > other.text

    def __hash__(self) -> int:
        return hash(self.text)
