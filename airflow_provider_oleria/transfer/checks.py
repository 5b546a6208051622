"""What a task asks of an export before it may replace the previous one."""

from __future__ import annotations

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaCheckError
from airflow_provider_oleria.transfer.header import Header


class Checks:
    """Checks a CSV on its way: its header as soon as that is complete, its number of rows at the end.

    Each check raises :class:`OleriaCheckError`, naming the gate, what was expected and what was found.

    :param options: ``min_rows``, ``required_columns`` and ``exact_columns`` are the gates.
    """

    def __init__(self, options: SaveOptions) -> None:
        self._options = options
        self.header = Header()

    def add(self, chunk: bytes) -> None:
        """The next chunk of the CSV."""
        if self.header.add(chunk):
            self._check_header()

    def finish(self, row_count: int) -> None:
        """The end of the CSV, with as many rows."""
        if self.header.finish():
            self._check_header()
        least = self._options.min_rows
        if least is not None and row_count < least:
            raise _closed("min_rows", f"at least {least:,} rows", f"{row_count:,}")

    def _check_header(self) -> None:
        columns = self.header.columns
        required, expected = self._options.required_columns, self._options.exact_columns
        found = ", ".join(columns) or "no columns"
        if not set(required or ()) <= set(columns):
            raise _closed("required_columns", ", ".join(required or ()), found)
        if expected is not None and tuple(expected) != columns:
            raise _closed("exact_columns", ", ".join(expected), found)


def _closed(gate: str, expected: str, found: str) -> OleriaCheckError:
    return OleriaCheckError(
        f"{gate}: expected {expected}; found {found}. What stood at the destination still does"
    )
