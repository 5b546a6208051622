"""Selects the rows of a download, and writes them as CSV.

Unsorted rows are streamed, any number of them; rows to sort are held in memory, up to :data:`MOST_SORTED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress
from operator import contains, eq, ge, gt, itemgetter, le, lt, ne
from typing import Any

from airflow_provider_oleria.sandbox.columns import REFERENCE_MOMENT, Column, Value

BATCH = 16_384
"""Rows per piece of CSV."""

MOST_SORTED = 1_000_000
"""Rows that can be sorted."""

_TESTS: Mapping[str, Callable[..., Any]] = {
    "eq": eq,
    "ne": ne,
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
    "last": ge,
    "contains": contains,
    "notContains": lambda value, part: part not in value,
    "in": lambda value, *choices: value in choices,
    "notIn": lambda value, *choices: value not in choices,
    "between": lambda value, low, high: low <= value <= high,
    "matches": lambda value, pattern: pattern.search(value),
}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def csv_of(columns: Mapping[str, Column], batches: Iterator[Sequence[int]]) -> Iterator[tuple[int, str]]:
    """The CSV in pieces, each with the number of its rows. The first piece is the header, with 0 rows."""
    yield 0, ",".join(columns) + "\r\n"
    for rows in batches:
        lines = map(",".join, zip(*(column.cells(rows) for column in columns.values()), strict=True))
        yield len(rows), "\r\n".join(lines) + "\r\n"


def select(
    columns: Mapping[str, Column],
    rows: range,
    filter_by: Sequence[Mapping[str, Any]] = (),
    sort_by: Sequence[Mapping[str, Any]] = (),
    batch: int = BATCH,
) -> Iterator[Sequence[int]]:
    """The numbers of the selected rows in order, in batches.

    :param sort_by: sort orders, applied in turn. Rows that tie keep their order; empty values come last.
    :param batch: rows of one batch.
    :raises ValueError: if there are more rows to sort than :data:`MOST_SORTED`.
    """
    tests = [(columns[item["field"]], passes(item)) for item in filter_by]
    if not sort_by:
        yield from _filtered(rows, tests, batch)
        return
    chosen: list[int] = []
    for part in _filtered(rows, tests, batch):
        chosen += part
        if len(chosen) > MOST_SORTED:
            raise ValueError(
                f"the sandbox sorts {MOST_SORTED:,} rows at most: set fewer rows, or do not sort"
            )
    for item in reversed(sort_by):
        chosen = _sorted(chosen, columns[item["field"]], descending=item["sortType"] == "desc")
    for start in range(0, len(chosen), batch):
        yield chosen[start : start + batch]


def passes(item: Mapping[str, Any]) -> Callable[[Value], bool]:
    """Return a function that decides whether a value passes a filter. ``None`` passes ``isNull`` alone.

    :raises re.error: for a pattern that is no regular expression.
    :raises OverflowError: for a duration that is too long.
    """
    filter_type = item["filterType"]
    if filter_type == "isNull":
        return lambda value: value is None
    if filter_type == "isNotNull":
        return lambda value: value is not None
    test = _TESTS[filter_type]
    operands = [_operand(item["dataType"], filter_type, value) for value in item["values"]]
    return lambda value: value is not None and bool(test(value, *operands))


def _operand(data_type: str, filter_type: str, value: Any) -> Any:
    if filter_type == "last":
        return REFERENCE_MOMENT - timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    if filter_type == "matches":
        return re.compile(value)
    return datetime.fromisoformat(value).astimezone(UTC) if data_type == "timestamp" else value


def _filtered(
    rows: range, tests: Sequence[tuple[Column, Callable[[Value], bool]]], batch: int
) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), batch):
        part: Sequence[int] = rows[start : start + batch]
        for column, test in tests:
            part = list(compress(part, map(test, column.values(part))))
        if part:
            yield part


def _sorted(rows: list[int], column: Column, *, descending: bool) -> list[int]:
    values = column.values(rows)
    full: list[Any] = [pair for pair in zip(values, rows, strict=True) if pair[0] is not None]
    full.sort(key=itemgetter(0), reverse=descending)  # stable in both directions
    empty = [row for value, row in zip(values, rows, strict=True) if value is None]
    return [row for _, row in full] + empty
