"""Checks of arguments: done when a DAG is parsed, and again when its templates are rendered.

A template is rendered to text, so numbers, lists and dicts are read from text, too.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from airflow_provider_oleria.exceptions import OleriaInputError

TEMPLATE_SUFFIX: Final = ".json"
"""Airflow takes a text with this suffix for the path of a file that holds the argument (``template_ext``)."""

MAX_SECONDS: Final = 10 * 365 * 24 * 3600.0
"""Ten years. A much longer time overflows in sockets, threads and dates, which all count in other units."""

_TEMPLATE_MARKS: Final = ("{{", "{%", "{#")
_TEMPLATE: Final = re.compile(r"\{[{%#].*[}%#]\}", re.DOTALL)
"""From a text's first template mark to its last."""

_ABSOLUTE: Final = re.compile(r"/|(?!file:|local:)[\w+.-]+://|(file|local)://([^/@]*@)?/", re.IGNORECASE)


def is_unrendered(value: object) -> bool:
    """Whether Airflow has yet to replace the value, or a part of it: a Jinja template or an XCom."""
    match value:
        case str():
            return any(mark in value for mark in _TEMPLATE_MARKS)
        case Mapping():
            return any(is_unrendered(item) for pair in value.items() for item in pair)
        case list() | tuple() | set() | frozenset():
            return any(map(is_unrendered, value))
    return hasattr(value, "resolve") and not hasattr(value, "suffix")  # a path has both


def rendered(name: str, value: Any) -> Any:
    """The value that Airflow's rendering has left.

    :param name: of the argument, for the error.
    :param value: the argument when the task runs.
    :raises OleriaInputError: it is still a template.
    """
    if isinstance(read_text(value), str) and is_unrendered(value):
        raise OleriaInputError(f"{name} is still a template when the task runs: {value!r}")
    # Airflow 2.11 does not replace an XCom whose value is empty.
    return None if not isinstance(value, str | Mapping | list | tuple) and is_unrendered(value) else value


def is_template_file(value: object) -> bool:
    """Whether Airflow replaces the value by the contents of a file."""
    return isinstance(value, str) and value.endswith(TEMPLATE_SUFFIX)


def without_template_files(value: Any) -> Any:
    """The value, whose parts Airflow leaves as they are: it would look for a file of the name ``package.json``."""
    match value:
        case Mapping():
            return {key: _as_literal(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_literal(item) for item in value]
    return value


def _as_literal(value: Any) -> Any:
    if not is_template_file(value) or is_unrendered(value):
        return without_template_files(value)
    from airflow_provider_oleria.compat import literal

    return literal(value)


def read_text(value: object) -> object:
    """The list, dict or number that a text spells, as JSON or as Python (which is how Jinja renders a list).

    :return: any other value, and any other text, as it is.
    """
    if isinstance(value, str):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value.strip())
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                continue
    return value


def check_text(name: str, value: object) -> None:
    """Check that a value is text, or will be once it is rendered.

    :param name: of the argument, for the error.
    :param value: the argument.
    :raises OleriaInputError: it is anything else, or empty.
    """
    if not is_unrendered(value) and not (isinstance(value, str) and value.strip()):
        raise OleriaInputError(f"{name} must be text, not {value!r}")


def seconds(name: str, value: object) -> float:
    """A length of time.

    :param name: of the argument, for the error.
    :param value: a number of seconds, or a ``timedelta``.
    :return: seconds.
    :raises OleriaInputError: it is anything else, not greater than 0, or longer than ten years.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, int | float) and MAX_SECONDS < number < math.inf:
        # Its digits may be too many to print.
        raise OleriaInputError(f"{name} must be at most ten years ({MAX_SECONDS:.0f} seconds)")
    if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < math.inf:
        raise OleriaInputError(f"{name} must be a number of seconds greater than 0, not {value!r}")
    return number


def switch(name: str, value: object) -> bool:
    """``True`` or ``False``. A text such as ``"False"``, from a Variable, would be true.

    :param name: of the argument, for the error.
    :param value: the argument.
    :raises OleriaInputError: it is anything else.
    """
    if not isinstance(value, bool):
        raise OleriaInputError(f"{name} must be True or False, not {value!r}")
    return value


def whole_number(name: str, value: object, least: int) -> int:
    """A whole number.

    :param name: of the argument, for the error.
    :param value: an ``int``, or its text.
    :param least: the smallest one allowed.
    :raises OleriaInputError: it is anything else, or smaller.
    """
    number = read_text(value)
    try:
        # A bool is an int for Python, but a mistake for a reader.
        whole = None if isinstance(number, bool) else operator.index(number)  # type: ignore[arg-type]  # checked here
    except TypeError:
        whole = None
    if whole is None:
        raise OleriaInputError(f"{name} must be a whole number, not {value!r}")
    if whole < least:
        raise OleriaInputError(f"{name} must be at least {least}, not {value!r}")
    return whole


def column_names(name: str, value: object, *, ordered: bool) -> tuple[str, ...]:
    """Names of columns.

    :param name: of the argument, for the error.
    :param value: a list or tuple, or its text; a set where the order does not matter.
    :param ordered: whether the order matters.
    :raises OleriaInputError: it is anything else, or holds what is no name, or one name twice.
    """
    names = read_text(value)
    if isinstance(names, set | frozenset) and ordered:
        raise OleriaInputError(f"{name} must be a list of column names, not a set: a set has no order")
    if not isinstance(names, list | tuple | set | frozenset):
        raise OleriaInputError(f"{name} must be a list of column names, not {value!r}")
    wrong = [item for item in names if not isinstance(item, str) or not item]
    if wrong:
        raise OleriaInputError(f"{name} must hold names of columns, not {wrong[0]!r}")
    if twice := [column for column, times in Counter(names).items() if times > 1]:
        raise OleriaInputError(f"{name} names a column twice: {', '.join(twice)}")
    return tuple(names if isinstance(names, list | tuple) else sorted(names))


def texts(name: str, value: object) -> tuple[str, ...]:
    """Several texts, in any order.

    :param name: of the argument, for the error.
    :param value: a list or tuple, or its text.
    :raises OleriaInputError: it is anything else.
    """
    items = read_text(value)
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise OleriaInputError(f"{name} must be a list of strings, not {value!r}")
    return tuple(items)


def column_types(value: object) -> dict[str, str]:
    """The argument ``column_types``: column → type.

    :param value: a mapping, or its text.
    :raises OleriaInputError: it is anything else.
    """
    types = read_text(value)
    if not isinstance(types, Mapping) or not all(
        isinstance(text, str) and text for pair in types.items() for text in pair
    ):
        raise OleriaInputError(
            f"column_types must be a dict of column names and types, such as {{'age': 'int64'}}, not {value!r}"
        )
    return dict(types)


def destination_path(destination: object) -> str:
    """The destination as text, which keeps the Airflow Connection of an ``ObjectStoragePath``: its copies lose it.

    White space around it is removed: a Variable often ends in a new line.

    :param destination: text, or a path object.
    :raises OleriaInputError: it is not the absolute path of a file, as far as templates show that.
    """
    text = str(destination) if hasattr(destination, "suffix") else destination
    text = text.strip() if isinstance(text, str) else ""
    if not text or text.endswith("/"):
        raise OleriaInputError(f"destination must be the path of a file, not {destination!r}")
    literal = _TEMPLATE.split(text)
    begin, end = literal[0], literal[-1]
    known = len(literal) == 1 or "/" in re.sub("^(file|local)://", "", begin)
    if known and not _ABSOLUTE.match(begin):
        raise OleriaInputError(
            f"destination {text!r} is relative to the worker's working folder. Give an absolute path, or a URL such as "
            "'file:///data/risks.csv' or 's3://aws_default@bucket/risks.csv'"
        )
    if end.endswith(TEMPLATE_SUFFIX):
        raise OleriaInputError(
            f"destination {text!r} ends in {TEMPLATE_SUFFIX}: the file holds CSV or Parquet, not JSON"
        )
    return text


def known_suffix(destination: str) -> str:
    """The end of a destination as far as no template decides it; empty where one does."""
    end = _TEMPLATE.split(destination)[-1]
    return end if "." in end else ""
