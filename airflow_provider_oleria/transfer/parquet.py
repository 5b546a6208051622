"""CSV → Parquet, a few megabytes at a time. Needs the extra ``parquet``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from airflow_provider_oleria.exceptions import OleriaFormatError, OleriaInputError
from airflow_provider_oleria.transfer.csv_records import RecordCounter

_PIECE: Final = 4 * 1024 * 1024
_LONGEST_RECORD: Final = 64 * 1024 * 1024
_LARGEST_ROW_GROUP: Final = 256 * 1024 * 1024

_COMPRESSIONS: Final = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")
_ZONED: Final = re.compile(r"timestamp(?:\[(s|ms|us|ns), ?tz=([\w/+:-]+)\])?")
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_MESSAGE: Final = 300


def check(column_types: Mapping[str, str], compression: str, row_group_size: int) -> None:
    """Whether :class:`ParquetWriter` will take these.

    :raises OleriaInputError: naming the argument, and what it may be.
    """
    if not isinstance(column_types, Mapping):
        raise OleriaInputError(
            f"column_types must be a dict of columns and types, not {type(column_types).__name__}"
        )
    for column, name in column_types.items():
        _type(column, name)
    if compression not in _COMPRESSIONS or not (compression == "none" or pa.Codec.is_available(compression)):
        raise OleriaInputError(f"compression must be one of {', '.join(_COMPRESSIONS)}, not {compression!r}")
    if not isinstance(row_group_size, int) or isinstance(row_group_size, bool) or row_group_size < 1:
        raise OleriaInputError(f"row_group_size must be a number of rows, at least 1, not {row_group_size!r}")


class ParquetWriter:
    """Cuts the CSV between records, and has Arrow convert piece after piece.

    Arrow's own streaming reader would have to pull, hence need a thread and a queue; and it refuses a record longer
    than its block.

    :param write: takes the bytes of the Parquet.
    :param column_types: as in :class:`~airflow_provider_oleria.downloads.SaveOptions`, and checked.
    :param compression: likewise.
    :param row_group_size: likewise.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        column_types: Mapping[str, str],
        compression: str,
        row_group_size: int,
    ) -> None:
        self._sink = _Sink(write)
        self._types = {column: _type(column, name) for column, name in column_types.items()}
        self._compression = compression
        self._row_group_size = row_group_size
        self._records = _Records()
        self._counter = RecordCounter()
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._parquet: Any = None
        self._tables: list[pa.Table] = []  # converted, and not yet written

    def write(self, chunk: bytes, /) -> None:
        """The next bytes of the CSV, cut anywhere."""
        self._take(self._records.add(chunk))

    def close(self) -> None:
        """Convert what is left and write the footer."""
        self._take(self._records.rest())
        if self._schema is None:
            raise OleriaFormatError("the CSV is empty: without a header there are no columns to write")
        self._write_row_groups(final=True)
        if not self._rows:
            # An empty row group, as Arrow gives an empty table: older readers stumble over a file without any.
            self._parquet.write_table(self._schema.empty_table())
        self._parquet.close()

    def abort(self) -> None:
        """Write nothing more."""
        self._sink.detach()
        self._tables = []
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()  # else its finaliser does, at a moment of its own

    def _take(self, records: bytes) -> None:
        if not records:
            return
        self._counter.add(records)
        if self._schema is None:
            end = _first_record_end(records)
            self._begin(_header(records[:end]))
            records = records[end:]
        if records:
            self._convert(records)
            self._write_row_groups()

    def _begin(self, names: list[str]) -> None:
        if unknown := self._types.keys() - set(names):
            raise OleriaFormatError(
                f"column_types names columns that the CSV does not have: {', '.join(sorted(unknown))}. "
                f"Its header is {_shortened(', '.join(names))}"
            )
        self._schema = pa.schema([(name, self._types.get(name, pa.string())) for name in names])
        self._parquet = pa_parquet.ParquetWriter(self._sink, self._schema, compression=self._compression)

    def _convert(self, records: bytes) -> None:
        schema: Any = self._schema
        # Arrow drops a BOM at the start of what it reads: one that stands there is data, the file's own is gone.
        bom = _BOM if records.startswith(_BOM) else b""
        # A row to find the end by: were Arrow inside quotes here, it would swallow it without a word.
        data = b"".join([bom, records, b"," * (len(schema) - 1), b"\n"])
        with self._explained():
            table = pa_csv.read_csv(
                pa.BufferReader(data),
                # One block, and no threads: only so do Arrow's errors tell the row.
                pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=schema.names),
                # In a single column an empty line is an empty value; otherwise it is no row, and found below.
                pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(schema) > 1),
                pa_csv.ConvertOptions(
                    column_types=schema, null_values=[""], strings_can_be_null=False, check_utf8=True
                ),
            )
        end = len(table) - 1
        first = self._rows + 1
        self._rows += end
        if self._rows != self._counter.rows or any(table.slice(end).to_pylist()[0].values()):
            raise OleriaFormatError(
                f"the CSV's rows {first} to {self._counter.rows} cannot be told apart: there is an empty line, "
                "a stray quote or a carriage return on its own"
            )
        self._tables.append(table.slice(0, end))

    def _write_row_groups(self, *, final: bool = False) -> None:
        rows = sum(map(len, self._tables))
        full = final or sum(table.nbytes for table in self._tables) >= _LARGEST_ROW_GROUP
        ready = rows if full else rows - rows % self._row_group_size
        if ready:
            table = pa.concat_tables(self._tables)
            self._parquet.write_table(table.slice(0, ready), self._row_group_size)
            self._tables = [table.slice(ready)]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Arrow's errors, with the column's name for its number, and rows counted from the header on."""
        try:
            yield
        except pa.ArrowInvalid as problem:
            schema: Any = self._schema
            text = re.sub(
                r"CSV column #(\d+)", lambda found: f"column {schema.names[int(found[1])]!r}", str(problem)
            )
            text = re.sub(r"Row #(\d+)", lambda found: f"row {int(found[1]) + self._rows}", text, count=1)
            raise OleriaFormatError(f"the CSV cannot be written as Parquet: {_shortened(text)}") from None


class _Records:
    """Bytes in, whole records out."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._enough = _PIECE

    def add(self, chunk: bytes) -> bytes:
        """Whole records, once there is a piece of them; else nothing."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size < self._enough:
            return b""
        pending = b"".join(self._chunks)
        end = _last_record_end(pending)
        if not end and self._size >= _LONGEST_RECORD:
            raise OleriaFormatError(
                f"the CSV has a record of more than {_LONGEST_RECORD >> 20} MiB: a quoted field has no end?"
            )
        self._chunks = [pending[end:]]
        self._size = len(pending) - end
        # A long record is not searched for its end with every chunk that comes.
        self._enough = min(max(_PIECE, 2 * self._size), _LONGEST_RECORD)
        return pending[:end]

    def rest(self) -> bytes:
        """What is left at the end of the file, its last newline supplied where it lacks one."""
        pending, self._chunks = b"".join(self._chunks), []
        if pending.count(b'"') % 2:
            raise OleriaFormatError("the CSV ends inside quotes: a quoted field has no end")
        return pending + b"\n" if pending and not pending.endswith(b"\n") else pending


def _first_record_end(records: bytes) -> int:
    end, quotes = 0, 0
    while True:
        start, end = end, records.index(b"\n", end) + 1
        quotes += records.count(b'"', start, end)
        if quotes % 2 == 0:
            return end


def _last_record_end(pending: bytes) -> int:
    """Where the last newline outside quotes ends; 0 without one."""
    end, quoted = len(pending), pending.count(b'"') % 2 == 1
    while True:
        quote = pending.rfind(b'"', 0, end)
        newline = -1 if quoted else pending.rfind(b"\n", quote + 1, end)
        if newline >= 0:
            return newline + 1
        if quote < 0:
            return 0
        end, quoted = quote, not quoted


def _header(record: bytes) -> list[str]:
    try:
        text = record.removeprefix(_BOM).decode()
        names, *others = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise OleriaFormatError(f"the CSV's header cannot be read: {problem}") from problem
    if others:
        raise OleriaFormatError(
            "the CSV's header cannot be told from its rows: there is a stray quote or a carriage return on its own"
        )
    if not names:
        raise OleriaFormatError(
            "the CSV's first line is empty: without a header there are no columns to write"
        )
    if twice := {name for name in names if names.count(name) > 1}:
        raise OleriaFormatError(
            f"the CSV's header has columns of the same name, which Parquet cannot hold: {', '.join(sorted(twice))}"
        )
    return names


def _type(column: str, name: str) -> pa.DataType:
    try:
        if zoned := _ZONED.fullmatch(name):
            kind = pa.timestamp(zoned[1] or "us", zoned[2] or "UTC")
        else:
            kind = pa.type_for_alias(name)
        # Arrow knows types that it cannot read from a CSV, or not write as Parquet.
        values = pa_csv.read_csv(
            io.BytesIO(b"x,\n"),
            pa_csv.ReadOptions(column_names=["x", column]),
            convert_options=pa_csv.ConvertOptions(column_types={column: kind}),
        )
        pa_parquet.write_table(values, io.BytesIO())
    except (ValueError, TypeError, pa.ArrowException) as problem:
        raise OleriaInputError(
            f"column_types: {name!r} (column {column!r}) is no type to read from a CSV; "
            "use for example int64, double, bool, date32, timestamp, timestamp[ms] or timestamp[ms, tz=UTC]"
        ) from problem
    return kind


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


class _Sink(io.RawIOBase):
    """Gives on what Arrow writes, until it is detached."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write: Callable[[bytes], object] | None = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self._write is not None:
            self._write(bytes(data))
        return len(data)

    def detach(self) -> None:
        self._write = None
