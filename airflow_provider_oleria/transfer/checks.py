"""The checks that an export must pass before it replaces the previous file."""

from __future__ import annotations

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaCheckError
from airflow_provider_oleria.transfer.csv_records import Header, shown_header


class Checks:
    """Checks a CSV in chunks: its header as soon as that is complete, its number of rows at the end.

    A check that fails raises :class:`OleriaCheckError`, with its name, what was expected and what was found.

    :param options: the checks are ``max_bytes``, ``min_rows``, ``required_columns`` and ``exact_columns``.
    """

    def __init__(self, options: SaveOptions) -> None:
        self._options = options
        self._header = Header()
        self._size = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header."""
        return self._header.columns

    def write(self, chunk: bytes, /) -> None:
        """Check the size, and the header once it is complete."""
        self._size += len(chunk)
        if self._size > self._options.max_bytes:
            raise _failed("max_bytes", f"at most {self._options.max_bytes:,} bytes", "more")
        if not self._header.complete:
            self._header.write(chunk)
            if self._header.complete:
                self._check_columns()

    def close(self, row_count: int) -> None:
        """Check the number of rows, once the CSV has been received."""
        if not self._header.complete:
            self._header.close()
            self._check_columns()
        min_rows = self._options.min_rows
        if min_rows is not None and row_count < min_rows:
            raise _failed("min_rows", f"at least {min_rows:,} rows", f"{row_count:,}")

    def _check_columns(self) -> None:
        required, exact = self._options.required_columns or (), self._options.exact_columns
        if not set(required) <= set(self.columns):
            raise _failed("required_columns", ", ".join(required), shown_header(self.columns, required))
        if exact is not None and tuple(exact) != self.columns:
            raise _failed("exact_columns", ", ".join(exact), shown_header(self.columns, exact))


def _failed(check: str, expected: str, found: str) -> OleriaCheckError:
    return OleriaCheckError(f"{check}: expected {expected}; found {found}. The previous file was kept")
