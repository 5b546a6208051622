"""Filters and sort orders: builders for them, and the check that the API will accept them.

A filter is the API's own dict, built or typed: Airflow's templates and mapping work inside it. Source of the operator
matrix: Oleria's developer documentation, "Working with Downloads".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_oleria.arguments import is_unrendered, read_text
from airflow_provider_oleria.exceptions import OleriaInputError

_COMPARISONS = ("gt", "gte", "lt", "lte", "between")

OPERATORS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("eq", "ne", "in", "notIn", "contains", "notContains", "matches", "isNull", "isNotNull"),
    "number": ("eq", "ne", *_COMPARISONS, "in", "notIn", "isNull", "isNotNull"),
    "boolean": ("eq", "ne", "isNull", "isNotNull"),
    "timestamp": ("eq", "ne", *_COMPARISONS, "last", "isNull", "isNotNull"),
    "enum": ("eq", "ne", "in", "notIn", "isNull", "isNotNull"),
}
"""The published operator matrix: which ``filterType`` goes with which ``dataType``."""

SORT_TYPES: Final = ("asc", "desc")

_DURATION = re.compile(r"[1-9][0-9]*[smhdw]")


class _Field:
    """A field of a data context. Its methods are the operators of its data type."""

    data_type: str

    def __init__(self, field: str) -> None:
        self.field = field

    def _filter(self, filter_type: str, *values: Any) -> dict[str, Any]:
        return {
            "dataType": self.data_type,
            "field": self.field,
            "filterType": filter_type,
            "values": [_as_json(value) for value in values],
        }

    def eq(self, value: Any) -> dict[str, Any]:
        """The field equals ``value``."""
        return self._filter("eq", value)

    def ne(self, value: Any) -> dict[str, Any]:
        """The field differs from ``value``."""
        return self._filter("ne", value)

    def is_null(self) -> dict[str, Any]:
        """The field is empty."""
        return self._filter("isNull")

    def is_not_null(self) -> dict[str, Any]:
        """The field is not empty."""
        return self._filter("isNotNull")


class _Listed(_Field):
    def in_(self, *values: Any) -> dict[str, Any]:
        """The field is one of ``values``."""
        return self._filter("in", *values)

    def not_in(self, *values: Any) -> dict[str, Any]:
        """The field is none of ``values``."""
        return self._filter("notIn", *values)


class _Ordered(_Field):
    def gt(self, value: Any) -> dict[str, Any]:
        """The field is greater (later) than ``value``."""
        return self._filter("gt", value)

    def gte(self, value: Any) -> dict[str, Any]:
        """The field is at least ``value``."""
        return self._filter("gte", value)

    def lt(self, value: Any) -> dict[str, Any]:
        """The field is less (earlier) than ``value``."""
        return self._filter("lt", value)

    def lte(self, value: Any) -> dict[str, Any]:
        """The field is at most ``value``."""
        return self._filter("lte", value)

    def between(self, low: Any, high: Any) -> dict[str, Any]:
        """The field lies between ``low`` and ``high``."""
        return self._filter("between", low, high)


class StringField(_Listed):
    """Filters on a string."""

    data_type = "string"

    def contains(self, value: str) -> dict[str, Any]:
        """The field contains ``value``."""
        return self._filter("contains", value)

    def not_contains(self, value: str) -> dict[str, Any]:
        """The field does not contain ``value``."""
        return self._filter("notContains", value)

    def matches(self, pattern: str) -> dict[str, Any]:
        """The field matches ``pattern``."""
        return self._filter("matches", pattern)


class NumberField(_Listed, _Ordered):
    """Filters on a number."""

    data_type = "number"


class BooleanField(_Field):
    """Filters on a boolean."""

    data_type = "boolean"


class TimestampField(_Ordered):
    """Filters on a timestamp; values are aware datetimes or ISO 8601 strings."""

    data_type = "timestamp"

    def last(self, duration: str) -> dict[str, Any]:
        """The field lies within the last ``duration``, such as ``7d`` or ``24h``."""
        return self._filter("last", duration)


class EnumField(_Listed):
    """Filters on a value of a fixed set."""

    data_type = "enum"


class Filter:
    """Builds the API's filters: ``Filter.string("department").eq("Engineering")``. Several combine with AND."""

    string = StringField
    number = NumberField
    boolean = BooleanField
    timestamp = TimestampField
    enum = EnumField


class Sort:
    """Builds the API's sort orders: ``Sort.desc("createdAt")``. The first of several comes first."""

    @staticmethod
    def asc(field: str) -> dict[str, str]:
        """Lowest first."""
        return {"field": field, "sortType": "asc"}

    @staticmethod
    def desc(field: str) -> dict[str, str]:
        """Highest first."""
        return {"field": field, "sortType": "desc"}


def checked_filters(filter_by: Any) -> list[dict[str, Any]]:
    """Check filters, and convert their values to the API's types.

    A value that Airflow has yet to render is returned unchecked: call this again once it is rendered.

    :param filter_by: a list of filters, its text, or ``None``.
    :return: the filters as the API takes them.
    :raises OleriaInputError: naming the item, its field and what is wrong.
    """
    return _checked_list("filter_by", filter_by, _checked_filter)


def checked_sorts(sort_by: Any) -> list[dict[str, Any]]:
    """Check sort orders, as :func:`checked_filters` does filters."""
    return _checked_list("sort_by", sort_by, _checked_sort)


def in_words(filter_by: Any, sort_by: Any) -> str:
    """Describe filters and sort orders: `` where department eq Engineering, sorted by createdAt desc``.

    :param filter_by: filters.
    :param sort_by: sort orders.
    :raises OleriaInputError: as :func:`checked_filters` and :func:`checked_sorts`.
    """
    filters = [
        " ".join([item["field"], item["filterType"], _first_values(item["values"])]).rstrip()
        for item in checked_filters(filter_by)
    ]
    sorts = [f"{item['field']} {item['sortType']}" for item in checked_sorts(sort_by)]
    where = f" where {' and '.join(filters)}" if filters else ""
    return where + (f", sorted by {', '.join(sorts)}" if sorts else "")


def _first_values(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values[:3]) + (", …" if len(values) > 3 else "")


def _checked_list(name: str, items: Any, check: Callable[[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
    items = read_text(items)
    if _is_template(items):
        return items  # type: ignore[no-any-return]  # checked once it is rendered
    if items is None:
        return []
    if not isinstance(items, list | tuple):
        raise OleriaInputError(f"{name} must be a list of dicts, not {type(items).__name__}: {items!r}")
    return [item if _is_template(item) else check(f"{name}[{n}]", item) for n, item in enumerate(items)]


def _checked_sort(where: str, item: Any) -> dict[str, Any]:
    _check_keys(where, item, required={"field", "sortType"}, optional=set())
    _check_choice(f"{where} sortType", item["sortType"], SORT_TYPES)
    return dict(item)


def _checked_filter(where: str, item: Any) -> dict[str, Any]:
    _check_keys(where, item, required={"dataType", "field", "filterType"}, optional={"values"})
    data_type, filter_type = item["dataType"], item["filterType"]
    _check_choice(f"{where} dataType", data_type, tuple(OPERATORS))
    if _is_template(data_type) or _is_template(filter_type):
        return dict(item)
    where = f"{where} ({item['field']})"
    _check_choice(f"{where}: filterType for a {data_type}", filter_type, OPERATORS[data_type])
    values = item.get("values")
    if _is_template(values):
        return dict(item)
    values = [] if values is None else values
    if not isinstance(values, list | tuple):
        raise OleriaInputError(f"{where}: values must be a list, not {type(values).__name__}: {values!r}")
    _check_count(where, filter_type, len(values))
    value_type = "duration" if filter_type == "last" else data_type
    return {**item, "values": [_checked_value(where, value_type, value) for value in values]}


def _check_keys(where: str, item: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(item, Mapping):
        raise OleriaInputError(f"{where} must be a dict, not {type(item).__name__}: {item!r}")
    missing, unknown = required - item.keys(), item.keys() - required - optional
    if missing or unknown:
        problems = [f"lacks {', '.join(sorted(missing))}"] if missing else []
        problems += [f"has unknown {', '.join(sorted(map(str, unknown)))}"] if unknown else []
        raise OleriaInputError(
            f"{where} {' and '.join(problems)}; it takes {', '.join(sorted(required | optional))}"
        )
    field = item["field"]
    if not _is_template(field) and not (isinstance(field, str) and field):
        raise OleriaInputError(f"{where}: field must be a column's name, not {field!r}")


def _check_choice(what: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices and not _is_template(value):
        raise OleriaInputError(f"{what} must be one of {', '.join(choices)}, not {value!r}")


def _check_count(where: str, filter_type: str, count: int) -> None:
    match filter_type:
        case "isNull" | "isNotNull":
            valid, expected = count == 0, "no values"
        case "between":
            valid, expected = count == 2, "two values, from and to"
        case "in" | "notIn":
            valid, expected = count >= 1, "at least one value"
        case _:
            valid, expected = count == 1, "one value"
    if not valid:
        raise OleriaInputError(f"{where}: {filter_type} takes {expected}, not {count}")


def _checked_value(where: str, value_type: str, value: Any) -> Any:
    if _is_template(value):
        return value
    value = _as_json(value)
    read, expected = _VALUE_TYPES[value_type]
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError):
        raise OleriaInputError(f"{where}: {value!r} is not {expected}") from None


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):  # a rendered template
        value = int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    match value.lower() if isinstance(value, str) else None:
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError


def _timestamp(value: Any) -> str:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        # Airflow's {{ ds }} and the API's timestamps are UTC.
        moment = moment.replace(tzinfo=UTC)
    return str(_as_json(moment))


def _duration(value: Any) -> str:
    if not _DURATION.fullmatch(value):
        raise ValueError
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_VALUE_TYPES: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "string": (_text, "a string"),
    "enum": (_text, "a string"),
    "number": (_number, "a number"),
    "boolean": (_boolean, "true or false"),
    "timestamp": (_timestamp, "an ISO 8601 timestamp such as 2026-05-12T17:32:00Z"),
    "duration": (_duration, "a duration such as 7d or 24h"),
}
"""How a value is read, and what an error calls it."""


def _as_json(value: Any) -> Any:
    """Datetimes in the API's form: ISO 8601, UTC."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise OleriaInputError(f"{value!r} has no time zone; give an aware datetime")
    try:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise OleriaInputError(f"{value!r} is out of range in UTC") from None


def _is_template(value: object) -> bool:
    """Whether the value itself, not a part of it, has yet to be rendered."""
    return not isinstance(value, Mapping | list | tuple) and is_unrendered(value)
