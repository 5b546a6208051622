"""The destination's suffix decides the format of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.background import Consumer
from airflow_provider_oleria.transfer.parallel_gzip import GzipWriter

_CSV_GZ: Final = ".csv.gz"
_CSV_ZST: Final = ".csv.zst"
_PARQUET: Final = ".parquet"

_ZSTD_LEVEL: Final = 3
_ZSTD_THREADS: Final = 2


Write = Callable[[bytes], object]

_PARQUET_OPTIONS: Final = ("column_types", "null_values", "on_type_error", "compression", "row_group_size")


class Writer(Consumer, Protocol):
    """Writes a CSV in the format of the destination.

    :meth:`write` and :meth:`close` raise :class:`OleriaFormatError` where the CSV cannot be represented. Either
    :meth:`close` or :meth:`abort` ends it; an abort after a close does nothing.
    """

    def abort(self) -> object:
        """Release what is held, without an exception."""

    @property
    def row_count(self) -> int | None:
        """How many rows are written; ``None`` if the format has no rows, only the bytes of the CSV."""

    @property
    def type_errors(self) -> int:
        """How many values did not fit the type of their column, and became null."""


def check_options(path: str, options: SaveOptions) -> None:
    """Check, before an export is started, the arguments of :func:`writer_for`.

    :param path: the destination.
    :param options: for its format.
    :raises OleriaInputError: an option is wrong or without effect, or a library is missing.
    """
    check_effect(path, options)
    suffix = _suffix(path)
    if suffix == _PARQUET:
        with _extra("parquet", path):
            from airflow_provider_oleria.transfer import parquet
        parquet.check(options)
    elif suffix == _CSV_ZST:
        with _extra("zstd", path):
            import zstandard  # noqa: F401  # imported only to see whether it is installed


def check_effect(path: str, options: SaveOptions) -> None:
    """The part of :func:`check_options` that imports no library: usable when a DAG file is parsed.

    :param path: the destination.
    :param options: for its format.
    :raises OleriaInputError: an option is for another format than the destination's.
    """
    if _suffix(path) == _PARQUET:
        return
    for name in _PARQUET_OPTIONS:
        if getattr(options, name) not in (getattr(SaveOptions, name), {}, []):
            raise OleriaInputError(
                f"{name} has no effect on {path!r}: it is for Parquet. "
                f"Let the destination end in {_PARQUET}, or remove {name}"
            )


def writer_for(path: str, write: Write, options: SaveOptions) -> Writer:
    """Create the writer of the destination's format. A file with an unknown suffix is written byte for byte.

    :param path: the destination; its suffix may be in upper or lower case.
    :param write: receives the bytes of the file.
    :param options: for the format, checked by :func:`check_options`.
    """
    suffix = _suffix(path)
    if suffix == _PARQUET:
        from airflow_provider_oleria.transfer.parquet import ParquetWriter

        return ParquetWriter(write, options)
    if suffix == _CSV_ZST:
        return _Zstandard(write)
    if suffix == _CSV_GZ:
        return GzipWriter(write)
    return _Plain(write)


def converts(path: str) -> bool:
    """Whether the bytes of the file differ from those of the CSV.

    :param path: the destination.
    """
    return bool(_suffix(path))


def column_type(path: str, column: str, options: SaveOptions) -> str | None:
    """The type of a column in the file; ``None`` in a CSV, which has no types.

    :param path: the destination.
    :param column: its name.
    :param options: for the format.
    """
    return (options.column_types or {}).get(column, "string") if _suffix(path) == _PARQUET else None


def _suffix(path: str) -> str:
    known = (_CSV_GZ, _CSV_ZST, _PARQUET)
    return next((suffix for suffix in known if path.lower().endswith(suffix)), "")


@contextmanager
def _extra(name: str, path: str) -> Iterator[None]:
    try:
        yield
    except ImportError as problem:
        raise OleriaInputError(
            f"destination {path!r} needs the extra {name!r}, which is not installed ({problem}): "
            f"pip install 'airflow-provider-oleria[{name}]'"
        ) from problem


class _Plain:
    row_count = None
    type_errors = 0

    def __init__(self, write: Write) -> None:
        self.write = write

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class _Zstandard:
    row_count = None
    type_errors = 0

    def __init__(self, write: Write) -> None:
        import zstandard

        self._write = write
        self._compressor = zstandard.ZstdCompressor(
            level=_ZSTD_LEVEL, write_checksum=True, threads=_ZSTD_THREADS
        ).compressobj()

    def write(self, chunk: bytes, /) -> None:
        self._write(self._compressor.compress(chunk))

    def close(self) -> None:
        self._write(self._compressor.flush())

    def abort(self) -> None:
        pass
