"""What an export asks for, read as strictly as the published contract allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_oleria.downloads import DataContext
from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.filters import checked_filters, checked_sorts, is_unrendered
from airflow_provider_oleria.sandbox.catalogue import columns_of
from airflow_provider_oleria.sandbox.columns import Column
from airflow_provider_oleria.sandbox.selection import passes

_KNOWN = {member.value: member for member in DataContext}
_TEXT = ("string", "enum")


class QueryError(Exception):
    """The API's answer to a body it does not accept.

    :param code: the error code.
    :param message: what is wrong, and where.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """One export's question.

    :param data_context: what is exported.
    :param filter_by: all of these must hold. An empty value passes ``isNull`` and no other filter.
    :param sort_by: applied in turn; rows that tie keep their natural order, empty values come last.
    """

    data_context: DataContext
    filter_by: list[dict[str, Any]] = field(default_factory=list)
    sort_by: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def parse(cls, body: Any) -> Query:
        """Read the body of ``POST /v1/downloads`` as strictly as the contract allows.

        :raises QueryError: with the code and the message to answer.
        """
        if not isinstance(body, dict):
            raise QueryError("invalid_request", "the body must be a JSON object")
        _check_keys("body", body, {"context", "params"})
        context = body.get("context")
        if not isinstance(context, str) or not context:
            raise QueryError("invalid_request", "context must be a non-empty string")
        if context not in _KNOWN:
            raise QueryError("invalid_context", f"there is no data context {context!r}")
        params = body.get("params", {})
        if not isinstance(params, dict):
            raise QueryError("invalid_request", "params must be an object")
        _check_keys("params", params, {"filterBy", "sortBy"})
        filter_by, sort_by = _filters(params.get("filterBy", [])), _sorts(params.get("sortBy", []))
        # The columns are the same for every seed; what differs are their values.
        columns = columns_of(_KNOWN[context], 0)
        for item in sort_by:
            _column_of(columns, item)
        for item in filter_by:
            _check_type(_column_of(columns, item), item)
            _check_values(item)
        return cls(_KNOWN[context], filter_by, sort_by)


def _check_keys(where: str, item: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(item.keys() - known):
        raise QueryError("invalid_request", f"{where} has unknown {', '.join(unknown)}")


def _dicts(name: str, items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise QueryError("invalid_request", f"{name} must be a list of objects")
    for item in items:
        values = item.get("values")
        told = [*item.values(), *(values if isinstance(values, list) else ())]
        if any(map(is_unrendered, told)):
            raise QueryError("invalid_request", f"{name} holds a template that was never rendered: {item}")
    return items


def _filters(items: Any) -> list[dict[str, Any]]:
    sent = _dicts("filterBy", items)
    try:
        checked = checked_filters(sent)
    except OleriaInputError as error:
        raise QueryError("invalid_filter", str(error)) from None
    for item, was in zip(checked, sent, strict=True):
        # checked_filters() also reads "5" as a number, for templates; on the wire a number is a number.
        if [*map(type, item["values"])] != [*map(type, was.get("values") or [])]:
            raise QueryError("invalid_filter", f"{item['field']}: send {item['values']}, not {was['values']}")
    return checked


def _sorts(items: Any) -> list[dict[str, Any]]:
    try:
        return checked_sorts(_dicts("sortBy", items))
    except OleriaInputError as error:
        raise QueryError("invalid_sort", str(error)) from None


def _column_of(columns: Mapping[str, Column], item: dict[str, Any]) -> Column:
    try:
        return columns[item["field"]]
    except KeyError:
        raise QueryError(
            "invalid_field", f"there is no field {item['field']!r}; there are {', '.join(columns)}"
        ) from None


def _check_type(column: Column, item: dict[str, Any]) -> None:
    asked = item["dataType"]
    # Which texts are enums is not published, so either way of asking is right.
    if asked != column.data_type and not (asked in _TEXT and column.data_type in _TEXT):
        raise QueryError("invalid_filter", f"field {column.name!r} is a {column.data_type}, not a {asked}")


def _check_values(item: dict[str, Any]) -> None:
    try:
        passes(item)
    except (re.error, OverflowError) as error:  # a bad pattern; a duration longer than history
        message = f"{item['field']}: {item['filterType']} cannot take {item['values']}: {error}"
        raise QueryError("invalid_filter", message) from None
