"""The destination's suffix → the format its bytes are written in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaInputError

_CSV_GZ: Final = ".csv.gz"
_CSV_ZST: Final = ".csv.zst"
_PARQUET: Final = ".parquet"

_GZIP_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


Write = Callable[[bytes], object]

_PARQUET_OPTIONS: Final = ("column_types", "compression", "row_group_size")


class Writer(Protocol):
    """Takes a CSV as it comes, and gives it on in its format."""

    def write(self, chunk: bytes, /) -> None:
        """The next bytes of the CSV, cut anywhere.

        :raises OleriaFormatError: they cannot be represented.
        """

    def close(self) -> None:
        """Write what is left.

        :raises OleriaFormatError: the CSV cannot be represented.
        """

    def abort(self) -> None:
        """Write nothing more; never raises, and does nothing after :meth:`close`."""


def check_options(path: str, options: SaveOptions) -> None:
    """Find out before an export is started whether :func:`writer_for` will do.

    :param path: the destination.
    :param options: for its format.
    :raises OleriaInputError: an option is wrong or without effect, or a library is missing.
    """
    suffix = _suffix(path)
    if suffix == _PARQUET:
        with _extra("parquet", path):
            from airflow_provider_oleria.transfer import parquet
        parquet.check(options.column_types or {}, options.compression, options.row_group_size)
        return
    check_effect(path, options)
    if suffix == _CSV_ZST:
        with _extra("zstd", path):
            import zstandard  # noqa: F401  # only whether it is there


def check_effect(path: str, options: SaveOptions) -> None:
    """The part of :func:`check_options` that needs no library: fit for a DAG file's parse.

    :param path: the destination.
    :param options: for its format.
    :raises OleriaInputError: an option is for another format than the destination's.
    """
    if _suffix(path) == _PARQUET:
        return
    for name in _PARQUET_OPTIONS:
        if getattr(options, name) not in (getattr(SaveOptions, name), {}):
            raise OleriaInputError(
                f"{name} has no effect on {path!r}: it is for Parquet. "
                f"Let the destination end in {_PARQUET}, or leave {name} out"
            )


def writer_for(path: str, write: Write, options: SaveOptions) -> Writer:
    """The writer of the destination's format; any suffix that is not known is written byte for byte.

    :param path: the destination: its suffix decides, in upper or lower case.
    :param write: takes the bytes of the file.
    :param options: for the format.
    :raises OleriaInputError: as :func:`check_options`.
    """
    check_options(path, options)
    suffix = _suffix(path)
    if suffix == _PARQUET:
        from airflow_provider_oleria.transfer.parquet import ParquetWriter

        return ParquetWriter(write, options.column_types or {}, options.compression, options.row_group_size)
    if suffix == _CSV_ZST:
        import zstandard

        return _Compressed(
            write, zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
        )
    if suffix == _CSV_GZ:
        # 16: with a gzip header, into which zlib puts neither time nor name: the same CSV gives the same file.
        return _Compressed(write, zlib.compressobj(_GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16))
    return _Plain(write)


def converts(path: str) -> bool:
    """Whether the destination's bytes differ from the CSV's.

    :param path: the destination.
    """
    return bool(_suffix(path))


def column_type(path: str, column: str, options: SaveOptions) -> str | None:
    """The type of a column in the destination's format; ``None`` in a CSV, where all is text.

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
    def __init__(self, write: Write) -> None:
        self._write = write

    def write(self, chunk: bytes, /) -> None:
        self._write(chunk)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Compressed:
    def __init__(self, write: Write, compressor: _Compressor) -> None:
        self._write = write
        self._compressor = compressor

    def write(self, chunk: bytes, /) -> None:
        self._write(self._compressor.compress(chunk))

    def close(self) -> None:
        self._write(self._compressor.flush())

    def abort(self) -> None:
        pass
