"""CSV records: where one ends, how many there are, and the names in the header.

The rules are those of Python's csv module. A quote counts only where a field starts with it; CR, LF or CRLF ends a
record outside quotes. An empty line is no record, except in a CSV of one column, where it is an empty value.
A byte-order mark and empty lines before the header are skipped. The work is linear in the size of any input.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from airflow_provider_oleria.net.redaction import quoted

_QUOTED: Final = re.compile(rb'"(?<![^,\r\n]")[^"]*+(?:",?"[^"]*+)*+"?')
"""Quoted fields, from an opening quote to the closing one or to the end of the data.

The look-behind accepts only a quote that starts a field. Adjacent quoted fields are one match: that is several times
faster on a CSV that quotes every field.
"""

_LINE_END: Final = re.compile(rb"\r\n|\r(?!\Z)|\n")
"""A carriage return at the end of the data may be half of a line end."""

_FIELD: Final = re.compile(r'(?:"((?:[^"]++|"")*+)")?([^,]*+),')
"""A field: its part in quotes, the rest, and a comma."""

_MAX_HEADER_SIZE: Final = 1024 * 1024
"""Bytes. A longer first record is not kept in memory; its columns are not known."""

_BLOCK: Final = 64 * 1024
"""Bytes."""

_MAX_NAMES_SHOWN: Final = 300
"""Characters."""


def blocks(chunk: bytes) -> Iterator[bytes]:
    """A chunk in blocks that stay in the processor's cache and the heap: reading them is several times as fast."""
    for start in range(0, len(chunk), _BLOCK):
        yield chunk[start : start + _BLOCK]


def last_record_end(data: bytes) -> int:
    """Where the last complete record ends.

    :param data: begins where a record begins, or with :attr:`Quotes.before`.
    :return: an index of ``data``; 0 if no record ends in it.
    """
    masked = _masked(data)
    return max(masked.rfind(b"\n"), masked.rfind(b"\r", 0, -1)) + 1


def _first_record_end(data: bytes) -> int:
    line_end = _LINE_END.search(_masked(data))
    return line_end.end() if line_end else 0


def _masked(data: bytes) -> bytes:
    """The data with as many letters in place of each quoted field."""
    return _QUOTED.sub(lambda quoted: b"x" * (quoted.end() - quoted.start()), data)


class Quotes:
    """Follows the quotes of a CSV that comes in chunks cut anywhere.

    ``before`` represents all that was read: a few bytes that give the next chunk the same meaning. ``are_open`` is
    whether the next chunk begins inside a quoted field.
    """

    def __init__(self) -> None:
        self.before = b""
        self.are_open = False

    def read(self, chunk: bytes) -> bytes:
        """Read the next chunk.

        :return: ``before`` and the chunk, with a letter in place of each quoted field. All its line ends are ends of
            lines; a carriage return at the end is kept for the next chunk.
        """
        data, held = self.before + chunk, b""
        if data.endswith(b"\r"):
            data, held = data[:-1], b"\r"
        text = data
        if b'"' in data:
            text = _QUOTED.sub(b"x", data + b"\n")
            self.are_open = not text.endswith(b"\n")  # an open field holds the newline, too
            text = text.removesuffix(b"\n")
        last = data[-1:]
        if self.are_open:
            self.before = b'"'
        elif last == b'"' and text.endswith(b"x"):
            self.before = b'""'  # the closing quote, or the first half of an escaped one
        elif last in (b"", b"\n", b"\r"):
            self.before = b""
        else:
            self.before = b"," if last == b"," else b"x"
        self.before += held
        return text


class Header:
    """Reads the header of a CSV that comes in chunks cut anywhere.

    Once it is ``complete``, ``record`` is its bytes and ``columns`` its names; both are empty if there is no header.
    """

    def __init__(self) -> None:
        self.record = b""
        self.columns: tuple[str, ...] = ()
        self.complete = False
        self._has_no_end = False
        self._received = b""
        self._size_to_search = 0

    def write(self, chunk: bytes, /) -> bytes:
        """Read the next chunk.

        :return: what follows the header.
        """
        if self.complete:
            return chunk
        self._received += chunk
        if len(self._received) < self._size_to_search:
            return b""
        # Searching again only at twice the size keeps the work linear.
        self._size_to_search = min(2 * len(self._received), _MAX_HEADER_SIZE + 1)
        data = self._without_empty_lines()
        end = _first_record_end(data)
        too_long = len(self._received) > _MAX_HEADER_SIZE
        return self._complete(data, end) if end or too_long else b""

    def close(self) -> bytes:
        """Read the end of the CSV.

        :return: what follows the header.
        """
        if self.complete:
            return b""
        data = self._without_empty_lines()
        return self._complete(data, _first_record_end(data + b"\n"))

    def problem(self) -> str | None:
        """Why readers may not find the columns, once the header is complete."""
        if not self.columns:
            return "it has no end within 1 MiB" if self._has_no_end else "the CSV is empty"
        if b"\0" in self.record:
            return "it has NUL characters, as UTF-16 text does"
        counts = Counter(self.columns)
        same = [str(number) for number, name in enumerate(self.columns, 1) if counts[name] > 1]
        # Not their name: in a file without a header it would be data.
        return f"several columns have the same name: numbers {shown(same)}" if same else None

    def _without_empty_lines(self) -> bytes:
        return self._received.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")

    def _complete(self, data: bytes, end: int) -> bytes:
        self.complete, self._received = True, b""
        self._has_no_end = not end
        self.record = data[:end].rstrip(b"\r\n")
        if self.record:
            fields = _FIELD.findall(self.record.decode("utf-8", "replace") + ",")
            self.columns = tuple(quoted.replace('""', '"') + rest for quoted, rest in fields)
        return data[end:]


class RecordCounter:
    """Counts the records of a CSV that comes in chunks cut anywhere.

    ``row_count`` is their number without the header. ``problem`` is why readers may not read the CSV as it was meant:
    the first place, and what is wrong there.
    """

    def __init__(self) -> None:
        self.row_count = 0
        self.problem: str | None = None
        self._header = Header()
        self._quotes = Quotes()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def write(self, chunk: bytes, /) -> None:
        """Count the records of the next chunk."""
        held = len(self._decoder.getstate()[0])
        try:
            if self.problem is None:
                self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            valid = max(0, error.start - held)
            self._count(self._header.write(chunk[:valid]))
            self._report("it is not UTF-8")
            chunk = chunk[valid:]
        self._count(self._header.write(chunk))

    def close(self) -> None:
        """Count a last record without a line end."""
        self._count(self._header.close())
        if self._decoder.getstate()[0]:
            self._report("it is not UTF-8")
        if self._quotes.are_open:
            self._report("a quoted field has no end")
            self.row_count += 1
        elif self._quotes.before:
            self._count(b"\n")
        if not self._header.columns:
            self.row_count = max(0, self.row_count - 1)  # the header is too long, or has no end
        if self.problem is None and (problem := self._header.problem()):
            self.problem = f"the header: {problem}"

    def _count(self, records: bytes) -> None:
        text = self._quotes.read(records)
        lines = text.splitlines()
        if not text.endswith((b"\n", b"\r")):
            del lines[-1:]  # its end is in a later chunk
        empty = 0 if len(self._header.columns) == 1 else lines.count(b"")
        self.row_count += len(lines) - empty

    def _report(self, problem: str) -> None:
        if self.problem is None:
            row = self.row_count + bool(self._header.columns)
            self.problem = f"row {row:,}: {problem}" if row else f"the header: {problem}"


def shown(names: Iterable[str]) -> str:
    """Names of columns for a message."""
    return quoted(", ".join(names), _MAX_NAMES_SHOWN)


def shown_header(columns: Sequence[str], expected: Collection[str]) -> str:
    """The names in a header for a message; only their number where they may be data.

    If none of them is known, the first row may be data, or the beginning of a page that is no CSV. If one has a line
    end, a stray quote before it may have made rows a part of it.

    :param columns: the names.
    :param expected: the names that the caller knows.
    """
    if set(expected).isdisjoint(columns):
        return f"{len(columns):,} columns, none with a name that was expected"
    if any("\n" in name or "\r" in name for name in columns):
        return f"{len(columns):,} columns, one with a line end in its name, perhaps after a stray quote"
    return shown(columns)
