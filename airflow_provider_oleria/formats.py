"""The destination's suffix → the format its bytes are written in."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import IO, Final, Protocol

from airflow_provider_oleria.errors import OleriaInputError

_CSV_GZ: Final = ".csv.gz"
_CSV_ZST: Final = ".csv.zst"
_PARQUET: Final = ".parquet"

_GZIP_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


@dataclass(frozen=True)
class FormatOptions:
    """How a ``.parquet`` destination is written; the other formats leave nothing to choose.

    :param column_types: column → type, for columns that shall not be strings: ``int64`` and its like, ``double``,
        ``bool``, ``date32``, ``timestamp[ms]`` (``s``, ``ms``, ``us``, ``ns``), ``timestamp[ms, tz=UTC]``, or
        ``timestamp`` for ``timestamp[us, tz=UTC]``. An empty string is null in these, and itself in all others.
    :param compression: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows of a row group. One whose rows take more than 256 MiB of memory ends earlier.
    """

    column_types: Mapping[str, str] | None = None
    compression: str = "zstd"
    row_group_size: int = 100_000


class Writer(Protocol):
    """Takes a CSV as it comes, and writes it in its format to a file that stays the caller's."""

    def write(self, chunk: bytes, /) -> None:
        """The next bytes of the CSV, cut anywhere.

        :raises OleriaFormatError: they cannot be represented.
        """

    def close(self) -> None:
        """Write what is left. The file itself stays open.

        :raises OleriaFormatError: the CSV cannot be represented.
        """

    def abort(self) -> None:
        """Write nothing more, and let go of the file; never raises."""


def check_options(path: str, options: FormatOptions) -> None:
    """Find out before an export is started whether :func:`writer_for` will do.

    :param path: the destination.
    :param options: for its format.
    :raises OleriaInputError: an option is wrong or without effect, or a library is missing.
    """
    suffix = _suffix(path)
    if suffix == _PARQUET:
        with _extra("parquet", path):
            from airflow_provider_oleria import parquet
        parquet.check(options.column_types or {}, options.compression, options.row_group_size)
        return
    for field in fields(options):
        if getattr(options, field.name) not in (field.default, {}):
            raise OleriaInputError(
                f"{field.name} has no effect on {path!r}: it is for Parquet. "
                f"Let the destination end in {_PARQUET}, or leave {field.name} out"
            )
    if suffix == _CSV_ZST:
        with _extra("zstd", path):
            import zstandard  # noqa: F401  # only whether it is there


def writer_for(path: str, file: IO[bytes], options: FormatOptions) -> Writer:
    """The writer of the destination's format; any suffix that is not known is written byte for byte.

    :param path: the destination: its suffix decides, in upper or lower case.
    :param file: where the bytes go.
    :param options: for the format.
    :raises OleriaInputError: as :func:`check_options`.
    """
    check_options(path, options)
    suffix = _suffix(path)
    if suffix == _PARQUET:
        from airflow_provider_oleria.parquet import ParquetWriter

        return ParquetWriter(file, options.column_types or {}, options.compression, options.row_group_size)
    if suffix == _CSV_ZST:
        import zstandard

        return _Compressed(
            file, zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
        )
    if suffix == _CSV_GZ:
        # 16: with a gzip header, into which zlib puts neither time nor name: the same CSV gives the same file.
        return _Compressed(file, zlib.compressobj(_GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16))
    return _Plain(file)


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
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, chunk: bytes, /) -> None:
        self._file.write(chunk)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Compressed:
    def __init__(self, file: IO[bytes], compressor: _Compressor) -> None:
        self._file = file
        self._compressor = compressor

    def write(self, chunk: bytes, /) -> None:
        self._file.write(self._compressor.compress(chunk))

    def close(self) -> None:
        self._file.write(self._compressor.flush())

    def abort(self) -> None:
        pass
