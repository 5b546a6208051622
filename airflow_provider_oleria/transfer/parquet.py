"""CSV → Parquet, some megabytes at a time. Needs the extra ``parquet``."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaFormatError, OleriaInputError
from airflow_provider_oleria.transfer.csv_records import (
    Header,
    Quotes,
    blocks,
    last_record_end,
    shown,
    shown_header,
)

log = logging.getLogger(__name__)

_THREADS: Final = int(pa.__version__.partition(".")[0]) >= 26
"""Arrow's threaded CSV reader was seen to hang in 16.1, 18.1 and 21.0, and not in 26.0 (2026-11-28)."""

_ZONED: Final = re.compile(r"timestamp(?:\[(s|ms|us|ns), ?tz=([\w/+:-]+)\])?")
_FRACTION_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Sizes:
    """How much is held in memory at once, in bytes.

    :param piece: CSV that is converted at a time.
    :param block: of a piece, what one thread converts at a time.
    :param record: the longest record. What converting it takes is several times its size.
    :param row_group: converted rows after which a row group ends.
    """

    piece: int = 8 * 1024 * 1024
    block: int = 1024 * 1024
    record: int = 16 * 1024 * 1024
    row_group: int = 56 * 1024 * 1024


_SIZES: Final = Sizes()


def check(options: SaveOptions) -> None:
    """Check with Arrow the options of :class:`ParquetWriter`.

    :raises OleriaInputError: naming the argument, and what it may be.
    """
    for column, name in (options.column_types or {}).items():
        _type(column, name)
    if options.compression != "none" and not pa.Codec.is_available(options.compression):
        raise OleriaInputError(
            f"compression {options.compression!r} is not available in this build of pyarrow"
        )


class ParquetWriter:
    """Splits the CSV between records, and converts piece after piece with Arrow.

    Arrow's streaming reader would need a thread and a queue, since it pulls; and it refuses a record longer than its
    block.

    ``row_count`` is how many rows are converted.

    :param write: receives the bytes of the Parquet file.
    :param options: checked by :func:`check`.
    :param sizes: how much is held in memory at once.
    """

    def __init__(self, write: Callable[[bytes], object], options: SaveOptions, sizes: Sizes = _SIZES) -> None:
        self._sizes = sizes
        self._sink = _Sink(write)
        self._options = options
        self._types = {column: _type(column, name) for column, name in (options.column_types or {}).items()}
        self._null_values = ["", *options.null_values]
        self._header = Header()
        self._pieces = _Pieces(sizes)
        self.row_count = 0
        self._schema: pa.Schema | None = None
        self._parquet: Any = None
        self._tables: list[pa.Table] = []  # converted, and not yet written
        # One thread writes a row group while the next is converted.
        self._pool = ThreadPoolExecutor(1, "oleria-parquet")
        self._writing: Future[None] | None = None
        self._misfits: Counter[str] = Counter()

    @property
    def type_errors(self) -> int:
        """How many values did not fit the type of their column, and became null."""
        return self._misfits.total()

    def write(self, chunk: bytes, /) -> None:
        """Convert the next chunk of the CSV."""
        self._take(self._header.write(chunk))

    def close(self) -> None:
        """Convert the rest and write the footer."""
        self._take(self._header.close())
        records, rest = self._pieces.end()
        self._convert(records)
        if self._pieces.quotes.are_open:
            self._refuse(0, "a quoted field has no end")
        self._convert(rest)
        self._write_row_groups(final=True)
        if not self.row_count:
            # An empty row group, as Arrow writes for an empty table: some readers need at least one.
            schema: Any = self._schema
            self._write_table(schema.empty_table())
        self._wait()
        self._pool.shutdown()
        self._parquet.close()
        if self._misfits:
            log.warning(
                "%s values did not fit the type of their column and were written as null: %s.",
                f"{self.type_errors:,}",
                shown(f"{column} {count:,}" for column, count in self._misfits.items()),
            )

    def abort(self) -> None:
        """Write nothing more."""
        self._sink.detach()
        self._pool.shutdown()
        self._tables = []
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()  # else its finaliser does, at an unknown time

    def _take(self, records: bytes) -> None:
        if not self._header.complete:
            return
        if self._schema is None:
            self._begin()
        self._convert(self._pieces.add(records))
        if self._pieces.size > self._sizes.record:
            size = self._sizes.record >> 20
            self._refuse(0, f"the record is longer than {size} MiB: a quoted field has no end?")

    def _begin(self) -> None:
        problem = self._header.problem()
        try:
            self._header.record.decode()
        except UnicodeDecodeError:
            problem = "it is not UTF-8"
        if problem:
            raise OleriaFormatError(f"the CSV cannot be written as Parquet: the header: {problem}")
        names = self._header.columns
        if unknown := self._types.keys() - set(names):
            raise OleriaFormatError(
                f"column_types names columns that the CSV does not have: {shown(sorted(unknown))}. "
                f"Its header is {shown_header(names, self._types)}"
            )
        self._schema = pa.schema([(name, self._types.get(name, pa.string())) for name in names])
        self._parquet = pa_parquet.ParquetWriter(
            self._sink, self._schema, compression=self._options.compression
        )

    def _convert(self, records: bytes) -> None:
        if not records:
            return
        schema: Any = self._schema
        kinds = {name: _parsed_kind(self._types[name]) for name in self._types}
        table: pa.Table | None = None
        with suppress(pa.ArrowInvalid):
            table = self._read(records, kinds, threads=_THREADS).cast(schema)
        if table is None:
            # Outside an except block: Arrow's error quotes the row, and must not be chained to one of ours.
            table = self._convert_carefully(records, kinds)
        self.row_count += len(table)
        self._tables.append(table)
        self._write_row_groups()

    def _convert_carefully(self, records: bytes, kinds: Mapping[str, pa.DataType]) -> pa.Table:
        """Convert records that Arrow has refused: column by column, to find each value that does not fit."""
        problem = ""
        try:
            table = self._read(records, {}, threads=False)
        except pa.ArrowInvalid as error:
            problem = str(error)
        if problem:
            self._refuse_unreadable(problem)
        columns = [
            self._typed(name, column.combine_chunks(), kinds[name]) if name in kinds else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        return pa.table(columns, table.column_names).cast(self._schema)

    def _read(self, records: bytes, kinds: Mapping[str, pa.DataType], *, threads: bool) -> pa.Table:
        names = self._header.columns
        # Arrow drops a BOM at the start of what it reads. The file's own is gone: one here is data.
        data = _BOM + records if records.startswith(_BOM) else records
        # Arrow 26.0 loses the LF of a CRLF in quotes where a block ends between the two: then one block.
        threads = threads and not (b'"' in data and b"\r" in data)
        return pa_csv.read_csv(
            pa.BufferReader(data),
            # Without threads, one block: only then Arrow's errors name the row.
            pa_csv.ReadOptions(
                use_threads=threads,
                block_size=self._sizes.block if threads else len(data) + 1,
                column_names=names,
            ),
            pa_csv.ParseOptions(newlines_in_values=b'"' in data, ignore_empty_lines=len(names) > 1),
            pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names} | dict(kinds),
                null_values=self._null_values,
                strings_can_be_null=False,
            ),
        )

    def _typed(self, name: str, texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
        """A column of texts in its type.

        :raises OleriaFormatError: a value does not fit, and ``on_type_error`` is ``fail``.
        """
        encoded = texts.dictionary_encode()
        values, misfits = self._parsed(_in_iso_format(encoded.dictionary, kind), kind)
        if misfits:
            wrong = pc.is_in(encoded.indices, pa.array(misfits, encoded.indices.type))
            if self._options.on_type_error == "fail":
                row = pc.index(wrong, True).as_py()
                self._refuse(row, f"the value does not fit type {self._types[name]}", repr(shown([name])))
            self._misfits[name] += pc.sum(wrong).as_py()
        return values.take(encoded.indices)

    def _parsed(self, texts: pa.StringArray, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
        """Texts in their type, null for a text that does not fit; and the indexes of these."""
        if not texts:
            return pa.nulls(0, kind), []
        csv = io.BytesIO()
        pa_csv.write_csv(pa.table({"x": texts}), csv, pa_csv.WriteOptions(include_header=False))
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(csv.getvalue()),
                pa_csv.ReadOptions(column_names=["x"], block_size=csv.tell() + 1),
                pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                pa_csv.ConvertOptions(column_types={"x": kind}, null_values=self._null_values),
            )
            return table["x"].combine_chunks(), []
        except pa.ArrowInvalid:
            if len(texts) == 1:
                return pa.nulls(1, kind), [0]
        half = len(texts) // 2
        first, wrong = self._parsed(texts[:half], kind)
        second, also_wrong = self._parsed(texts[half:], kind)
        return pa.concat_arrays([first, second]), wrong + [half + index for index in also_wrong]

    def _write_row_groups(self, *, final: bool = False) -> None:
        rows = sum(map(len, self._tables))
        full = final or sum(table.nbytes for table in self._tables) >= self._sizes.row_group
        ready = rows if full else rows - rows % self._options.row_group_size
        if ready:
            table = pa.concat_tables(self._tables)
            self._tables = [table.slice(ready)] if ready < rows else []
            self._write_table(table.slice(0, ready))

    def _write_table(self, table: pa.Table) -> None:
        self._wait()
        self._writing = self._pool.submit(self._parquet.write_table, table, self._options.row_group_size)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _refuse_unreadable(self, error: str) -> NoReturn:
        """Arrow's error with the number of the row, and without its values."""
        row, column = re.search(r"Row #(\d+)", error), re.search(r"CSV column #(\d+)", error)
        width = re.search(r"Expected \d+ columns, got \d+", error)
        problem = width[0].replace("Expected", "expected") if width else "it is not UTF-8"
        # Not its name: in a file without a header that would be data.
        number = str(int(column[1]) + 1) if column else None
        self._refuse(int(row[1]) - 1 if row else 0, problem, number)

    def _refuse(self, index: int, problem: str, column: str | None = None) -> NoReturn:
        place = f"row {self.row_count + index + 1:,}" + (f", column {column}" if column else "")
        raise OleriaFormatError(f"the CSV cannot be written as Parquet: {place}: {problem}")


class _Pieces:
    """Bytes in, whole records out.

    ``size`` is how many bytes are waiting.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self.quotes = Quotes()
        self.size = 0
        self._chunks: list[bytes] = []
        self._next_search = self._sizes.piece

    def add(self, chunk: bytes) -> bytes:
        """Whole records, once there is a piece of them; else nothing."""
        before = self.quotes.before
        for block in blocks(chunk):
            self.quotes.read(block)
        self._chunks.append(chunk)
        self.size += len(chunk)
        if self.size < self._sizes.piece:
            return b""
        end = last_record_end(before + chunk) - len(before)
        if end <= 0:
            # A record may end in an earlier chunk. Searching again only at twice the size keeps the work linear.
            if self.size < self._next_search:
                return b""
            self._next_search = min(2 * self.size, self._sizes.record + 1)
            self._chunks = [chunk := b"".join(self._chunks)]
            end = last_record_end(chunk)
            if not end:
                return b""
        self._next_search = self._sizes.piece
        return self._take(end)

    def end(self) -> tuple[bytes, bytes]:
        """Whole records, and a last one without a line end."""
        self._chunks = [b"".join(self._chunks)]
        records = self._take(last_record_end(self._chunks[0]))
        return records, b"".join(self._chunks)

    def _take(self, end: int) -> bytes:
        """Everything up to an index of the last chunk."""
        last = self._chunks.pop()
        records = b"".join([*self._chunks, last[:end]])
        self._chunks = [last[end:]]
        self.size = len(last) - end
        return records


def _in_iso_format(texts: pa.StringArray, kind: pa.DataType) -> pa.StringArray:
    """Timestamps as Arrow reads them: no more digits than the type has, and with a time zone (UTC if there is none)."""
    if not pa.types.is_timestamp(kind):
        return texts
    digits = _FRACTION_DIGITS[kind.unit]
    kept = rf"(:\d\d\.\d{{{digits}}})\d+" if digits else r"(:\d\d)\.\d+"
    texts = pc.replace_substring_regex(texts, kept, r"\1")
    return pc.replace_substring_regex(texts, r"^(\d+-\d\d-\d\d[T ][\d:.]+)$", r"\1Z")


def _parsed_kind(kind: pa.DataType) -> pa.DataType:
    """What Arrow parses for a type: timestamps always with a time zone, as Oleria writes them."""
    return pa.timestamp(kind.unit, kind.tz or "UTC") if pa.types.is_timestamp(kind) else kind


def _type(column: str, name: str) -> pa.DataType:
    try:
        if zoned := _ZONED.fullmatch(name):
            kind = pa.timestamp(zoned[1] or "us", zoned[2] or "UTC")
        else:
            kind = pa.type_for_alias(name)
        # Arrow has types that it cannot read from a CSV, or not write as Parquet.
        values = pa_csv.read_csv(
            io.BytesIO(b'""\n'),
            pa_csv.ReadOptions(column_names=["x"]),
            convert_options=pa_csv.ConvertOptions(column_types={"x": kind}),
        )
        pa_parquet.write_table(values, io.BytesIO())
        if zoned:
            pa.scalar(0, kind).as_py()  # Arrow accepts any name of a time zone until a value is read
    except LookupError as problem:
        raise OleriaInputError(
            f"column_types: {name!r} (column {column!r}) names an unknown time zone"
        ) from problem
    except (ValueError, TypeError, pa.ArrowException) as problem:
        raise OleriaInputError(
            f"column_types: {name!r} (column {column!r}) is no type to read from a CSV; "
            "use for example int64, double, bool, date32, timestamp, timestamp[ms] or timestamp[ms, tz=UTC]"
        ) from problem
    return kind


class _Sink(io.RawIOBase):
    """Passes on what Arrow writes, until it is detached."""

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
