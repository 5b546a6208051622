"""The made-up data: parseable, reproducible, filtered and sorted as asked."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.sandbox import rows as engine
from airflow_provider_oleria.sandbox.catalogue import CONTEXTS, columns_of
from airflow_provider_oleria.sandbox.columns import CHANGING, REFERENCE_MOMENT, present
from airflow_provider_oleria.sandbox.query import OPERATORS

from .client import Client

Row = dict[str, str]


def rows_of(
    context: str = "accessInventoryIdentitiesV2",
    rows: int = 1500,
    seed: int = 7,
    filter_by: Any = (),
    sort_by: Any = (),
    day: int = 0,
    batch: int = engine.BATCH,
) -> list[Row]:
    columns = columns_of(context, seed, day)
    chosen = engine.select(columns, present(rows, day), filter_by, sort_by, batch)
    pieces = list(engine.csv_of(columns, chosen))
    read = list(csv.DictReader(io.StringIO("".join(text for _, text in pieces), newline=""), strict=True))
    assert sum(count for count, _ in pieces) == len(read)
    return read


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_data_context_is_valid_csv(context: str) -> None:
    rows = rows_of(context, rows=1000)
    assert len(rows) == 1000
    assert all(None not in row and None not in row.values() for row in rows)
    assert all(re.fullmatch("[a-z][A-Za-z]+", heading) for heading in rows[0])
    cells = [cell for row in rows for cell in row.values()]
    for odd in (",", '"', "\n"):
        assert any(odd in cell for cell in cells)
    assert not all(cell.isascii() for cell in cells)
    first = next(iter(rows[0]))
    assert len({row[first] for row in rows}) == 1000


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_cell_is_of_its_columns_type(context: str) -> None:
    reads: dict[str, Callable[[str], object]] = {
        "string": str,
        "enum": str,
        "number": float,
        "boolean": ["true", "false"].index,
        "timestamp": lambda cell: datetime.strptime(cell, "%Y-%m-%dT%H:%M:%SZ"),
    }
    columns = columns_of(context, 7)
    assert {column.data_type for column in columns.values()} <= OPERATORS.keys()
    for row in rows_of(context, rows=200):
        for name, cell in row.items():
            if cell:
                reads[columns[name].data_type](cell)


def test_about_one_row_in_fifty_is_odd() -> None:
    odd = [row for row in rows_of(rows=5000) if not re.fullmatch(r"[\w\- ]+", row["identityName"])]
    assert 50 <= len(odd) <= 150


def test_the_published_example_works(client: Client) -> None:
    rows = rows_of(
        filter_by=[Filter.string("department").eq("Engineering")], sort_by=[Sort.desc("createdAt")]
    )
    assert rows
    assert {row["department"] for row in rows} == {"Engineering"}
    served = client.export(
        "accessInventoryIdentitiesV2",
        filterBy=[Filter.string("department").eq("Engineering")],
        sortBy=[Sort.desc("createdAt")],
    )
    read = list(csv.DictReader(io.StringIO(served.decode(), newline="")))
    assert {row["department"] for row in read} == {"Engineering"}
    assert [row["createdAt"] for row in read] == sorted((row["createdAt"] for row in read), reverse=True)


def test_the_same_seed_gives_the_same_and_another_gives_other_rows() -> None:
    assert rows_of(rows=50) == rows_of(rows=50)
    assert rows_of(rows=50) != rows_of(rows=50, seed=8)


@pytest.mark.parametrize("context", CONTEXTS)
def test_from_day_to_day_some_join_some_leave_and_some_change(context: str) -> None:
    key = next(iter(columns_of(context, 7)))
    first, second, last = ({row[key]: row for row in rows_of(context, day=day)} for day in (3, 4, 90))

    assert (len(second.keys() - first.keys()), len(first.keys() - second.keys())) == (10, 6)
    assert sum(second[name] != first[name] for name in first.keys() & second.keys()) < 25
    changed = {
        column
        for name in first.keys() & last.keys()
        for column in first[name]
        if first[name][column] != last[name][column]
    }
    assert changed == CHANGING & columns_of(context, 7).keys()


def test_filters_and_sort_orders_see_the_changed_values() -> None:
    rows = rows_of("accessInventoryApplicationAccountsV2", day=30)
    auditors = [Filter.string("applicationRole").eq("Auditor")]
    found = rows_of("accessInventoryApplicationAccountsV2", day=30, filter_by=auditors)
    assert found == [row for row in rows if row["applicationRole"] == "Auditor"]
    assert found != rows_of("accessInventoryApplicationAccountsV2", filter_by=auditors)


def test_no_rows_are_none_on_any_day() -> None:
    assert rows_of(rows=0, day=9) == []


def test_a_row_does_not_depend_on_how_many_there_are() -> None:
    many = rows_of(rows=3000)
    assert rows_of(rows=100) == many[:100]
    assert rows_of(rows=3000, batch=7) == many


def test_no_rows_are_a_header() -> None:
    columns = columns_of("identities", 7)
    assert list(engine.csv_of(columns, engine.select(columns, range(0)))) == [(0, ",".join(columns) + "\r\n")]


def _moment(cell: str) -> datetime:
    return datetime.fromisoformat(cell)


MIDDLE = datetime(2026, 3, 1, tzinfo=UTC)
LATE = datetime(2026, 9, 1, tzinfo=UTC)

# Each operator with an independent reading of it; none but isNull lets an empty cell pass.
CASES: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    (Filter.string("department").eq("Sales"), lambda cell: cell == "Sales"),
    (Filter.string("department").ne("Sales"), lambda cell: cell != "Sales"),
    (Filter.string("department").in_("Sales", "Legal"), lambda cell: cell in ("Sales", "Legal")),
    (Filter.string("department").not_in("Sales", "Legal"), lambda cell: cell not in ("Sales", "Legal")),
    (Filter.string("department").contains("ing"), lambda cell: "ing" in cell),
    (Filter.string("department").not_contains("ing"), lambda cell: "ing" not in cell),
    (Filter.string("department").matches("^S.*t$"), lambda cell: cell[0] == "S" and cell[-1] == "t"),
    (Filter.string("department").matches("esea"), lambda cell: "esea" in cell),
    (Filter.string("department").is_null(), lambda cell: not cell),
    (Filter.string("department").is_not_null(), lambda cell: True),
    (Filter.string("email").contains(".77@"), lambda cell: ".77@" in cell),
    (Filter.number("dormantDays").eq(0), lambda cell: int(cell) == 0),
    (Filter.number("dormantDays").ne(0), lambda cell: int(cell) != 0),
    (Filter.number("dormantDays").gt(90), lambda cell: int(cell) > 90),
    (Filter.number("dormantDays").gte(90.5), lambda cell: int(cell) >= 91),
    (Filter.number("dormantDays").lt(9), lambda cell: int(cell) < 9),
    (Filter.number("dormantDays").lte(9), lambda cell: int(cell) <= 9),
    (Filter.number("dormantDays").between(10, 20), lambda cell: 10 <= int(cell) <= 20),
    (Filter.number("dormantDays").in_(1, 2, 3), lambda cell: int(cell) in (1, 2, 3)),
    (Filter.number("dormantDays").not_in(1, 2, 3), lambda cell: int(cell) not in (1, 2, 3)),
    (Filter.number("dormantDays").is_not_null(), lambda cell: True),
    (Filter.boolean("mfaEnabled").eq(True), lambda cell: cell == "true"),
    (Filter.boolean("mfaEnabled").ne(True), lambda cell: cell == "false"),
    (Filter.boolean("mfaEnabled").is_not_null(), lambda cell: True),
    (Filter.timestamp("createdAt").gt(MIDDLE), lambda cell: _moment(cell) > MIDDLE),
    (Filter.timestamp("createdAt").gte(MIDDLE), lambda cell: _moment(cell) >= MIDDLE),
    (Filter.timestamp("createdAt").lt(MIDDLE), lambda cell: _moment(cell) < MIDDLE),
    (Filter.timestamp("createdAt").lte(MIDDLE), lambda cell: _moment(cell) <= MIDDLE),
    (Filter.timestamp("createdAt").ne(MIDDLE), lambda cell: _moment(cell) != MIDDLE),
    (Filter.timestamp("createdAt").between(MIDDLE, LATE), lambda cell: MIDDLE <= _moment(cell) <= LATE),
    (
        Filter.timestamp("createdAt").last("7d"),
        lambda cell: _moment(cell) >= REFERENCE_MOMENT - timedelta(days=7),
    ),
    (
        Filter.timestamp("createdAt").last("3w"),
        lambda cell: _moment(cell) >= REFERENCE_MOMENT - timedelta(days=21),
    ),
    (Filter.timestamp("lastPasswordChangedAt").is_null(), lambda cell: not cell),
    (Filter.timestamp("lastPasswordChangedAt").is_not_null(), lambda cell: True),
    (Filter.timestamp("lastPasswordChangedAt").lt(MIDDLE), lambda cell: _moment(cell) < MIDDLE),
    (Filter.enum("identityType").eq("Machine"), lambda cell: cell == "Machine"),
    (Filter.enum("identityType").ne("Machine"), lambda cell: cell == "User"),
    (Filter.enum("identityType").in_("Machine", "User"), lambda cell: True),
    (Filter.enum("identityType").not_in("Machine"), lambda cell: cell == "User"),
    (Filter.enum("identityType").is_not_null(), lambda cell: True),
]


@pytest.mark.parametrize(
    ("item", "passes"),
    CASES,
    ids=[f"{item['dataType']}-{item['filterType']}-{n}" for n, (item, _) in enumerate(CASES)],
)
def test_a_filter_selects_its_rows(item: dict[str, Any], passes: Callable[[str], bool]) -> None:
    name, wants_empty = item["field"], item["filterType"] == "isNull"
    wanted = [row for row in rows_of() if (passes(row[name]) if row[name] else wants_empty)]
    assert wanted, "a filter that lets nothing pass tests nothing"
    assert rows_of(filter_by=[item]) == wanted


def test_equal_timestamps_are_found() -> None:
    cell = rows_of(rows=1)[0]["createdAt"]
    assert {row["createdAt"] for row in rows_of(filter_by=[Filter.timestamp("createdAt").eq(cell)])} == {cell}


@pytest.mark.parametrize("name", ["mfaEnabled", "dormantDays", "createdAt", "identityType"])
def test_what_is_never_empty_has_no_null(name: str) -> None:
    data_type = columns_of("accessInventoryIdentitiesV2", 7)[name].data_type
    item = {"dataType": data_type, "field": name, "filterType": "isNull", "values": []}
    assert rows_of(filter_by=[item]) == []


def test_filters_combine_with_and() -> None:
    both = [Filter.string("department").eq("Sales"), Filter.boolean("mfaEnabled").eq(True)]
    wanted = [row for row in rows_of() if row["department"] == "Sales" and row["mfaEnabled"] == "true"]
    assert wanted
    assert rows_of(filter_by=both) == wanted


def test_every_published_operator_is_tried() -> None:
    tried = {(item["dataType"], item["filterType"]) for item, _ in CASES}
    apart = {("timestamp", "eq")} | {(kind, "isNull") for kind in ("number", "boolean", "enum")}
    assert tried | apart == {(kind, name) for kind, names in OPERATORS.items() for name in names}


SORTS = [
    [Sort.asc("createdAt")],
    [Sort.desc("dormantDays")],
    [Sort.asc("email")],
    [Sort.desc("email")],
    [Sort.asc("lastPasswordChangedAt")],
    [Sort.desc("department"), Sort.asc("dormantDays"), Sort.desc("createdAt")],
    [Sort.asc("mfaEnabled"), Sort.desc("identityId")],
]


@pytest.mark.parametrize(
    "sort_by", SORTS, ids=lambda items: " ".join(f"{i['field']}-{i['sortType']}" for i in items)
)
def test_sorted_as_asked(sort_by: list[dict[str, str]]) -> None:
    wanted = rows_of()
    for item in reversed(sort_by):  # a stable sort per key, the last one first
        name = item["field"]
        number = name == "dormantDays"
        full = [row for row in wanted if row[name]]
        full.sort(key=lambda row: int(row[name]) if number else row[name], reverse=item["sortType"] == "desc")
        wanted = full + [row for row in wanted if not row[name]]
    assert rows_of(sort_by=sort_by, batch=64) == wanted


def test_filtered_and_sorted() -> None:
    item = Filter.string("department").eq("Sales")
    wanted = sorted(
        (row for row in rows_of() if row["department"] == "Sales"), key=lambda row: row["createdAt"]
    )
    assert rows_of(filter_by=[item], sort_by=[Sort.asc("createdAt")], batch=64) == wanted


def test_unsorted_rows_are_never_in_memory_all_at_once() -> None:
    columns = columns_of("accessInventoryIdentitiesV2", 7)
    filter_by = [Filter.number("dormantDays").gte(0)]
    tracemalloc.start()
    try:
        pieces = engine.csv_of(columns, engine.select(columns, range(10_000_000), filter_by))
        # Enough to see the pattern; the rest is more of the same.
        for _, _text in itertools.islice(pieces, 6):
            pass
        _, peak = tracemalloc.get_traced_memory()
        pieces.close()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


def test_more_rows_than_can_be_sorted_are_an_error(client: Client) -> None:
    client.sandbox.settings.rows = engine.MOST_SORTED + 1
    download_id = client.create(sortBy=[Sort.asc("createdAt")])
    with pytest.raises(ValueError, match="sorts 1,000,000 rows at most"):
        client.sandbox.expected(download_id)
    failed = client.get(download_id).json()
    assert (failed["status"], "sorts 1,000,000 rows" in failed["error"]["message"]) == ("failed", True)
    assert client.export(sortBy=[Sort.asc("createdAt")], filterBy=[Filter.string("email").contains(".777@")])
