"""What a task asks of an export before it may replace the previous one."""

from __future__ import annotations

import csv
import io

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.errors import OleriaGateError


class Gates:
    """Checks a CSV on its way: its header as soon as that is complete, its number of rows at the end.

    Each check raises :class:`OleriaGateError`, naming the gate, what was expected and what was found.

    :param options: ``min_rows``, ``required_columns`` and ``expected_columns`` are the gates.
    """

    def __init__(self, options: SaveOptions) -> None:
        self._options = options
        header_matters = options.required_columns is not None or options.expected_columns is not None
        self._head: bytes | None = b"" if header_matters else None

    def add(self, chunk: bytes) -> None:
        """The next chunk of the CSV."""
        if self._head is None:
            return
        self._head += chunk
        end = self._head.find(b"\n")
        while end >= 0 and self._head.count(b'"', 0, end) % 2:  # a newline within a quoted name
            end = self._head.find(b"\n", end + 1)
        if end >= 0:
            self._check_header(self._head[:end])

    def finish(self, row_count: int) -> None:
        """The end of the CSV, with as many rows."""
        if self._head is not None:
            self._check_header(self._head)
        least = self._options.min_rows
        if least is not None and row_count < least:
            raise _closed("min_rows", f"at least {least:,} rows", f"{row_count:,}")

    def _check_header(self, head: bytes) -> None:
        self._head = None
        try:
            columns = next(csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline="")), [])
        except csv.Error:
            columns = []  # no header a gate could hold for
        required, expected = self._options.required_columns, self._options.expected_columns
        found = ", ".join(columns) or "no columns"
        if not set(required or ()) <= set(columns):
            raise _closed("required_columns", ", ".join(required or ()), found)
        if expected is not None and list(expected) != columns:
            raise _closed("expected_columns", ", ".join(expected), found)


def _closed(gate: str, expected: str, found: str) -> OleriaGateError:
    return OleriaGateError(
        f"{gate}: expected {expected}; found {found}. What stood at the destination still does"
    )
