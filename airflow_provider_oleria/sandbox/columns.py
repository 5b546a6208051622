"""Columns of sample data, each row computed from its number alone.

A column takes the entry of a table at the row's number, modulo the table's length. The tables of a data context have
different prime lengths, so that its rows repeat only after more rows than a download has. Neighbouring rows are
slices of the tables, which makes millions of rows a matter of seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

Value = str | int | float | bool | datetime | None
Entry = TypeVar("Entry")

REFERENCE_MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
"""The sandbox's "now": all timestamps are before it, and the filter ``last`` counts back from it."""

CHANGING = frozenset(
    {
        *("applicationRole", "isAdmin", "isPrivileged", "mfaEnabled", "applicationCount", "groupCount"),
        *("roleCount", "memberCount", "accountCount", "adminCount", "permissionCount"),
    }
)
"""The columns whose values change from day to day."""

_ROWS_PER_JOINER = 150
_ROWS_PER_LEAVER = 250
_DAYS_BETWEEN_CHANGES = 97
_CHANGE_STEP = 7

_NEEDS_QUOTES = re.compile(r'[",\r\n]')


class Column:
    """A column that takes its values from a table.

    :param offset: the entry of row 0.
    :param day: the tenant's age in days. Each row takes another entry every 97 days.
    """

    def __init__(
        self, name: str, data_type: str, table: Sequence[Value], offset: int = 0, day: int = 0
    ) -> None:
        self.name = name
        self.data_type = data_type
        self._table = list(table)
        self._cells = [as_cell(value) for value in table]
        self._offset = offset
        self._day = day if name in CHANGING else 0

    def show_thresholds(self) -> None:
        """Show every tenth number as a threshold: ``30+`` means 30 or more."""
        numbers = [int(value) for value in self._table[::10] if isinstance(value, int)]
        self._cells[::10] = [f"{50 if days >= 50 else 30 if days >= 30 else 0}+" for days in numbers]

    def values(self, rows: Sequence[int]) -> Sequence[Value]:
        """The values of rows, by their numbers."""
        return self._entries(self._table, rows)

    def cells(self, rows: Sequence[int]) -> Sequence[str]:
        """The CSV cells of rows, by their numbers."""
        return self._entries(self._cells, rows)

    def _entries(self, table: list[Entry], rows: Sequence[int]) -> Sequence[Entry]:
        period, offset, day = len(table), self._offset, self._day
        if isinstance(rows, range) and not day:
            start = (rows.start + offset) % period
            return (table * (len(rows) // period + 2))[start : start + len(rows)]
        between = _DAYS_BETWEEN_CHANGES
        changes = (_CHANGE_STEP * ((day + row * 37 % between) // between) for row in rows)
        return [table[(row + offset + change) % period] for row, change in zip(rows, changes, strict=True)]


class NumberedColumn(Column):
    """A string column that contains the row's number, so that every row has another value."""

    def __init__(self, name: str, stems: Sequence[str], digits: str = "d", tail: str = "") -> None:
        super().__init__(name, "string", stems)
        self._digits = digits
        self._tail = tail

    def cells(self, rows: Sequence[int]) -> Sequence[str]:
        """The CSV cells of rows, which are their values."""
        digits, tail = self._digits, self._tail
        return [f"{stem}{row:{digits}}{tail}" for stem, row in zip(super().cells(rows), rows, strict=True)]

    def values(self, rows: Sequence[int]) -> Sequence[Value]:
        """The values of rows, which are their CSV cells."""
        return self.cells(rows)


def present(rows: int, day: int) -> range:
    """The numbers of the rows of a day: each day the oldest leave and new ones join.

    :param day: the tenant's age in days.
    """
    leavers, joiners = -(-rows // _ROWS_PER_LEAVER), -(-rows // _ROWS_PER_JOINER)
    return range(day * leavers, rows + day * joiners)


def as_cell(value: Value) -> str:
    """A value as a CSV cell (RFC 4180); ``None`` is an empty one."""
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
