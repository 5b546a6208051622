"""The rows an export selects, and the CSV that holds them."""

from __future__ import annotations

import heapq
import re
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress, islice
from operator import eq, ge, gt, le, lt, ne
from typing import IO, Any

from airflow_provider_oleria.sandbox.columns import REFERENCE_MOMENT, Column, Lookup, Value, as_cell

BATCH = 16_384
"""Rows in memory at a time."""
RUN = 100_000
"""Row numbers sorted in memory at a time; more are sorted in runs on disk, then merged."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def csv_of(columns: Mapping[str, Column], batches: Iterator[Sequence[int]]) -> Iterator[tuple[int, str]]:
    """The CSV in pieces, each with the number of its rows; the first is the header, with none.

    :param columns: the columns by name.
    :param batches: the numbers of the rows.
    """
    yield 0, ",".join(columns) + "\r\n"
    cells = [column.each(as_cell) for column in columns.values()]
    for rows in batches:
        lines = map(",".join, zip(*(look_up(rows) for look_up in cells), strict=True))
        yield len(rows), "\r\n".join(lines) + "\r\n"


def select(
    columns: Mapping[str, Column],
    rows: range,
    filter_by: Sequence[Mapping[str, Any]] = (),
    sort_by: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Sequence[int]]:
    """The numbers of the rows that pass, in order, never all of them at once.

    :param columns: the columns by name.
    :param rows: the numbers of all rows.
    :param filter_by: filters that must all hold.
    :param sort_by: applied in turn; rows that tie keep their natural order, empty values come last.
    """
    masks = [columns[item["field"]].each(passes(item)) for item in filter_by]
    chosen = _filtered(rows, masks)
    if not sort_by:
        return chosen
    keys = [columns[item["field"]].order(descending=item["sortType"] == "desc") for item in sort_by]
    return _sorted(chosen, keys)


def passes(item: Mapping[str, Any]) -> Callable[[Value], bool]:
    """Whether a value passes a filter. An empty one passes ``isNull`` and no other.

    :param item: the filter, checked.
    :raises re.error: for a pattern that is no regular expression.
    """
    filter_type = item["filterType"]
    if filter_type == "isNull":
        return lambda value: value is None
    if filter_type == "isNotNull":
        return lambda value: value is not None
    test = _test(filter_type, [_typed(item["dataType"], filter_type, value) for value in item["values"]])
    return lambda value: value is not None and test(value)


def _test(filter_type: str, values: list[Any]) -> Callable[[Any], bool]:
    wanted = values[0]
    comparisons = {"eq": eq, "ne": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}
    if filter_type in comparisons:
        compare = comparisons[filter_type]
        return lambda value: bool(compare(value, wanted))
    match filter_type:
        case "in":
            return lambda value: value in values
        case "notIn":
            return lambda value: value not in values
        case "between":
            return lambda value: bool(values[0] <= value <= values[1])
        case "contains":
            return lambda value: wanted in value
        case "notContains":
            return lambda value: wanted not in value
        case "last":
            since = REFERENCE_MOMENT - wanted
            return lambda value: bool(since <= value)
    pattern = re.compile(wanted)  # what is left is ``matches``
    return lambda value: pattern.search(value) is not None


def _typed(data_type: str, filter_type: str, value: Any) -> Any:
    if filter_type == "last":
        return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    if data_type == "timestamp":
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


def _filtered(rows: range, masks: Sequence[Lookup[bool]]) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), BATCH):
        batch: Sequence[int] = rows[start : start + BATCH]
        for mask in masks:
            batch = list(compress(batch, mask(batch)))
        if batch:
            yield batch


def _sorted(batches: Iterator[Sequence[int]], keys: Sequence[Lookup[Any]]) -> Iterator[Sequence[int]]:
    """Sort by external merge: only row numbers go to disk, their keys are looked up again."""

    def keyed(rows: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        return zip(*(key(rows) for key in keys), rows, strict=True)

    def read(run: IO[bytes]) -> Iterator[tuple[Any, ...]]:
        run.seek(0)
        while block := run.read(8 * 1024):
            yield from keyed(array("q", block))

    runs: list[IO[bytes]] = []
    try:
        for rows in _runs(batches):
            file = tempfile.TemporaryFile()  # noqa: SIM115  # closed below, with the others
            runs.append(file)
            array("q", [entry[-1] for entry in sorted(keyed(rows))]).tofile(file)
        merged = heapq.merge(*map(read, runs))
        while batch := [entry[-1] for entry in islice(merged, BATCH)]:
            yield batch
    finally:
        for run in runs:
            run.close()


def _runs(batches: Iterator[Sequence[int]]) -> Iterator[array[int]]:
    run = array("q")
    for batch in batches:
        run.extend(batch)
        while len(run) >= RUN:
            yield run[:RUN]
            run = run[RUN:]
    if run:
        yield run
