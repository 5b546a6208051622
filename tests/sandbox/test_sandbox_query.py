"""The sandbox's own rules and those of the package agree: both are written from the vendor's page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_oleria import filters
from airflow_provider_oleria.api.protocol import build_download_body
from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.sandbox import query
from airflow_provider_oleria.sandbox.catalogue import CONTEXTS
from airflow_provider_oleria.sandbox.query import Query, QueryError

FIELDS = {
    "string": "department",
    "number": "dormantDays",
    "boolean": "mfaEnabled",
    "timestamp": "createdAt",
    "enum": "identityType",
}
VALUES: dict[str, Any] = {
    "string": "Sales",
    "number": 5,
    "boolean": True,
    "timestamp": datetime(2026, 5, 12, 17, 32, tzinfo=UTC),
    "enum": "User",
}
PAIRS = [(kind, name) for kind in query.OPERATORS for name in query.OPERATORS["number"]]
PAIRS += [(kind, name) for kind in query.OPERATORS for name in ("contains", "notContains", "matches", "last")]


def item(data_type: str, filter_type: str) -> dict[str, Any]:
    value = "7d" if filter_type == "last" else VALUES[data_type]
    count = {"isNull": 0, "isNotNull": 0, "between": 2}.get(filter_type, 1)
    values = [filters._as_json(value)] * count
    return {"dataType": data_type, "field": FIELDS[data_type], "filterType": filter_type, "values": values}


def test_both_know_the_same_operators_sort_orders_and_contexts() -> None:
    assert {kind: set(names) for kind, names in query.OPERATORS.items()} == {
        kind: set(names) for kind, names in filters.OPERATORS.items()
    }
    assert set(query.SORT_TYPES) == set(filters.SORT_TYPES)
    assert set(CONTEXTS) == set(DataContext)


@pytest.mark.parametrize(("data_type", "filter_type"), PAIRS)
def test_both_accept_and_refuse_the_same_filters(data_type: str, filter_type: str) -> None:
    sent = item(data_type, filter_type)
    body = {"context": "identities", "params": {"filterBy": [sent]}}
    if filter_type in query.OPERATORS[data_type]:
        assert filters.checked_filters([sent]) == [sent]
        assert Query.parse(body).filter_by == [sent]
    else:
        with pytest.raises(ValueError, match=filter_type):
            filters.checked_filters([sent])
        with pytest.raises(QueryError, match=filter_type):
            Query.parse(body)


def test_what_the_package_builds_is_accepted() -> None:
    moment = VALUES["timestamp"]
    built = [
        Filter.string("department").in_("Sales", "Legal"),
        Filter.number("dormantDays").between(0, 90.5),
        Filter.boolean("mfaEnabled").eq(False),
        Filter.timestamp("createdAt").between(moment, "2026-06-01T00:00:00.5+02:00"),
        Filter.timestamp("createdAt").last("24h"),
        Filter.enum("identityType").is_not_null(),
        {"dataType": "string", "field": "department", "filterType": "isNull"},
    ]
    sorts = [Sort.asc("createdAt"), Sort.desc("department")]
    body = build_download_body("identities", built, sorts)
    assert len(Query.parse(body).filter_by) == len(built)
    for context in DataContext:
        assert Query.parse(build_download_body(context)).data_context == context
