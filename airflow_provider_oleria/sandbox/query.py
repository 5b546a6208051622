"""Reads the body of ``POST /v1/downloads`` as strictly as Oleria's documentation allows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_oleria.sandbox.catalogue import CONTEXTS, columns_of
from airflow_provider_oleria.sandbox.columns import Column
from airflow_provider_oleria.sandbox.rows import passes

OPERATORS: Mapping[str, Collection[str]] = {
    "string": ["eq", "ne", "in", "notIn", "contains", "notContains", "matches", "isNull", "isNotNull"],
    "number": ["eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "notIn", "isNull", "isNotNull"],
    "boolean": ["eq", "ne", "isNull", "isNotNull"],
    "timestamp": ["eq", "ne", "gt", "gte", "lt", "lte", "between", "last", "isNull", "isNotNull"],
    "enum": ["eq", "ne", "in", "notIn", "isNull", "isNotNull"],
}
"""The published operator matrix: the ``filterType`` values of each ``dataType``."""

SORT_TYPES = ("asc", "desc")

_COUNTS: Mapping[str, tuple[int, float]] = {
    **dict.fromkeys(("isNull", "isNotNull"), (0, 0)),
    **dict.fromkeys(("in", "notIn"), (1, math.inf)),
    "between": (2, 2),
}
"""How many values a ``filterType`` takes; the others take one."""

_DURATION = re.compile(r"[1-9]\d*[smhdw]")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TEXTS = ("string", "enum")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_VALID: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "timestamp": lambda value: isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None,
    "enum": lambda value: isinstance(value, str),
    "duration": lambda value: isinstance(value, str) and _DURATION.fullmatch(value) is not None,
}


class QueryError(Exception):
    """A body that the API does not accept, with the code and the message of the response."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """What a download selects."""

    data_context: str
    filter_by: list[dict[str, Any]] = field(default_factory=list)
    sort_by: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def parse(cls, body: Any) -> Query:
        """Read the body of ``POST /v1/downloads``.

        :raises QueryError: with the code and the message of the response.
        """
        _check_keys("invalid_request", "the body", body, {"context"}, {"params"})
        context, params = body["context"], body.get("params", {})
        if not isinstance(context, str) or context not in CONTEXTS:
            raise QueryError("invalid_context", f"there is no data context {context!r}")
        _check_keys("invalid_request", "params", params, set(), {"filterBy", "sortBy"})
        query = cls(context, params.get("filterBy", []), params.get("sortBy", []))
        # The columns are the same for every seed; only their values differ.
        columns = columns_of(context, 0)
        checks = (("filterBy", query.filter_by, _check_filter), ("sortBy", query.sort_by, _check_sort))
        for name, items, check in checks:
            if not isinstance(items, list):
                raise QueryError("invalid_request", f"{name} must be a list, not {items!r}")
            if re.search("{{|{%", json.dumps(items)):
                raise QueryError("invalid_request", f"{name} has a template that was not rendered: {items}")
            for item in items:
                check(columns, item)
        return query


def _check_filter(columns: Mapping[str, Column], item: Any) -> None:
    code = "invalid_filter"
    _check_keys(code, "a filter", item, {"dataType", "field", "filterType", "values"})
    column = _column_of(columns, item)
    data_type, filter_type, values = item["dataType"], item["filterType"], item["values"]
    where = f"{column.name}: {filter_type}"
    if filter_type not in OPERATORS.get(str(data_type), ()):
        raise QueryError(code, f"{where} is no filterType of the dataType {data_type!r}")
    # It is not published which texts are enums, so both types are accepted for both.
    if data_type != column.data_type and not (data_type in _TEXTS and column.data_type in _TEXTS):
        raise QueryError(code, f"{column.name} is a {column.data_type}, not a {data_type}")
    if not isinstance(values, list):
        raise QueryError(code, f"{where} takes a list of values, not {values!r}")
    least, most = _COUNTS.get(filter_type, (1, 1))
    if not least <= len(values) <= most:
        raise QueryError(code, f"{where} does not take {len(values)} values")
    value_type = "duration" if filter_type == "last" else data_type
    if wrong := [value for value in values if not _VALID[value_type](value)]:
        raise QueryError(code, f"{where} takes values of type {value_type}, not {wrong[0]!r}")
    try:
        passes(item)
    except (re.error, ValueError, OverflowError) as problem:
        raise QueryError(code, f"{where} does not take {values}: {problem}") from None


def _check_sort(columns: Mapping[str, Column], item: Any) -> None:
    _check_keys("invalid_sort", "a sort order", item, {"field", "sortType"})
    if item["sortType"] not in SORT_TYPES:
        raise QueryError("invalid_sort", f"sortType is asc or desc, not {item['sortType']!r}")
    _column_of(columns, item)


def _check_keys(code: str, where: str, item: Any, required: set[str], optional: Collection[str] = ()) -> None:
    if not isinstance(item, dict):
        raise QueryError("invalid_request", f"{where} must be an object, not {item!r}")
    if missing := sorted(required - item.keys()):
        raise QueryError(code, f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(item.keys() - required - set(optional)):
        raise QueryError(code, f"{where} has unknown {', '.join(unknown)}")


def _column_of(columns: Mapping[str, Column], item: Mapping[str, Any]) -> Column:
    name = item["field"]
    if not isinstance(name, str) or name not in columns:
        raise QueryError("invalid_field", f"there is no field {name!r}; there are {', '.join(columns)}")
    return columns[name]
