"""Filters and sort orders: what the builders make, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_oleria.filters import OPERATORS, Filter, Sort, checked_filters, checked_sorts, in_words

METHODS = {
    "in": "in_",
    "notIn": "not_in",
    "isNull": "is_null",
    "isNotNull": "is_not_null",
    "notContains": "not_contains",
}
SAMPLES = {
    "string": ("a", "b"),
    "enum": ("User", "Machine"),
    "number": (1, 2.5),
    "boolean": (True, False),
    "timestamp": ("2026-05-12T17:32:00Z", "2026-05-13T00:00:00Z"),
}
ARITY = {"isNull": 0, "isNotNull": 0, "between": 2}


@pytest.mark.parametrize(
    ("data_type", "operator"),
    [(kind, operator) for kind, operators in OPERATORS.items() for operator in operators],
)
def test_builders_cover_the_published_matrix_and_pass_its_check(data_type: str, operator: str) -> None:
    values = ("7d",) if operator == "last" else SAMPLES[data_type][: ARITY.get(operator, 1)]
    built = getattr(getattr(Filter, data_type)("column"), METHODS.get(operator, operator))(*values)

    assert built == {
        "dataType": data_type,
        "field": "column",
        "filterType": operator,
        "values": list(values),
    }
    assert checked_filters([built]) == [built]


@pytest.mark.parametrize("data_type", OPERATORS)
def test_builders_offer_nothing_beyond_the_matrix(data_type: str) -> None:
    names = {value: key for key, value in METHODS.items()}
    offered = {name for name in dir(getattr(Filter, data_type)) if not name.startswith("_")} - {"data_type"}

    assert {names.get(name, name) for name in offered} == set(OPERATORS[data_type])


def number(filter_type: str, *values: object) -> dict:
    return {"dataType": "number", "field": "dormantDays", "filterType": filter_type, "values": list(values)}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (number("last", "7d"), "filterType for a number must be one of .* not 'last'"),
        (number("between", 1), "between takes two values, from and to, not 1"),
        (number("between", 1, 2, 3), "between takes two values"),
        (number("in"), "in takes at least one value"),
        (number("eq"), "eq takes one value"),
        (number("isNull", 1), "isNull takes no values"),
        (number("gt", "many"), "'many' is not a number"),
        (number("gt", True), "True is not a number"),
        (number("gt", float("nan")), "nan is not a number"),
        (number("in", 1, float("-inf")), "-inf is not a number"),
        (number("gt", "nan"), "'nan' is not a number"),
        (number("gt", "1e999"), "'1e999' is not a number"),
        (number("gt", "9" * 5000), "is not a number"),
        (
            {
                "dataType": "timestamp",
                "field": "at",
                "filterType": "gt",
                "values": ["0001-01-01T00:00+02:00"],
            },
            "0001-01-01",
        ),
        (number("gt", None), "None is not a number"),
        (
            {"dataType": "timestamp", "field": "createdAt", "filterType": "last", "values": ["a week"]},
            "7d or 24h",
        ),
        ({"dataType": "timestamp", "field": "createdAt", "filterType": "last", "values": [7]}, "7d or 24h"),
        (
            {"dataType": "timestamp", "field": "createdAt", "filterType": "gt", "values": ["yesterday"]},
            "ISO 8601",
        ),
        (
            {"dataType": "boolean", "field": "isAdmin", "filterType": "eq", "values": ["maybe"]},
            "true or false",
        ),
        (
            {"dataType": "string", "field": "department", "filterType": "eq", "values": [5]},
            "5 is not a string",
        ),
        (
            {"dataType": "text", "field": "department", "filterType": "eq", "values": ["x"]},
            "dataType must be one of",
        ),
        ({"dataType": "string", "field": "", "filterType": "isNull"}, "field must be a column's name"),
        (
            {"dataType": "string", "field": "department", "filterType": "eq", "values": "x"},
            "values must be a list",
        ),
        ({"field": "department", "filterType": "eq"}, "lacks dataType"),
        ({**number("eq", 1), "value": 1}, "has unknown value"),
        ("department = 'x'", "must be a dict, not str"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(item: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        checked_filters([item])

    assert "filter_by[0]" in str(caught.value)


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(ValueError, match="filter_by must be a list of dicts, not dict"):
        checked_filters(number("eq", 1))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"field": "createdAt", "sortType": "down"}, "sortType must be one of asc, desc, not 'down'"),
        ({"field": "createdAt"}, "lacks sortType"),
    ],
)
def test_a_wrong_sort_is_refused_by_name(item: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_sorts([Sort.asc("department"), item])


def test_templates_and_xcoms_wait_until_they_are_rendered() -> None:
    class XComLike:
        def resolve(self, context: object) -> None: ...

    unrendered = XComLike()
    filters = [
        number("gt", "{{ params.days }}"),
        {"dataType": "{{ x }}", "field": "f", "filterType": "{{ y }}", "values": unrendered},
        unrendered,
    ]

    assert checked_filters(filters) == filters
    assert checked_filters("{{ var.json.filters }}") == "{{ var.json.filters }}"


def test_rendered_text_becomes_what_the_api_takes() -> None:
    rendered = [
        number("between", "1", "2.5"),
        {"dataType": "boolean", "field": "isAdmin", "filterType": "eq", "values": ["True"]},
        {"dataType": "timestamp", "field": "at", "filterType": "gte", "values": ["2026-05-12"]},
        {
            "dataType": "timestamp",
            "field": "at",
            "filterType": "gte",
            "values": ["2026-05-12 02:00:00+02:00"],
        },
    ]

    assert [item["values"] for item in checked_filters(rendered)] == [
        [1, 2.5],
        [True],
        ["2026-05-12T00:00:00Z"],
        ["2026-05-12T00:00:00Z"],
    ]


def test_datetimes_are_sent_in_utc_and_naive_ones_refused() -> None:
    cet = timezone(timedelta(hours=1))
    assert Filter.timestamp("at").between(
        datetime(2026, 1, 1, 1, tzinfo=cet), datetime(2026, 1, 2, tzinfo=UTC)
    )["values"] == ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    with pytest.raises(ValueError, match="time zone"):
        Filter.timestamp("at").gt(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_a_timestamp_out_of_range_in_utc_is_refused(moment: datetime) -> None:
    with pytest.raises(ValueError, match="is out of range in UTC"):
        Filter.timestamp("at").gt(moment)


def test_filters_may_be_text_as_a_template_renders_them() -> None:
    filters = [Filter.number("age").gt(1), Filter.boolean("isAdmin").eq(True)]

    assert checked_filters(str(filters)) == checked_filters(json.dumps(filters)) == filters
    with pytest.raises(ValueError, match="filter_by must be a list of dicts, not str"):
        checked_filters("department = 'x'")


def test_filters_can_be_described() -> None:
    filters = [Filter.string("name").in_("a", "b", "c", "d"), Filter.timestamp("lastUsedAt").is_null()]

    assert in_words(filters, [Sort.asc("name"), Sort.desc("createdAt")]) == (
        " where name in a, b, c, … and lastUsedAt isNull, sorted by name asc, createdAt desc"
    )
    assert in_words(None, None) == ""
