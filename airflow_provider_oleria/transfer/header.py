"""The header of a CSV, read on the way."""

from __future__ import annotations

import csv
import io
from typing import Final

_LONGEST: Final = 1024 * 1024
"""Bytes. What has no end within them is no header, and not kept in memory."""


class Header:
    """Collects the first record of a CSV that comes in chunks cut anywhere.

    ``columns`` are its names, once it is complete; none where there is no header to be read.
    """

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self._head: bytes | None = b""

    def add(self, chunk: bytes) -> bool:
        """The next chunk of the CSV.

        :return: whether the header is complete with it.
        """
        if self._head is None:
            return False
        self._head += chunk
        end = self._head.find(b"\n")
        while end >= 0 and self._head.count(b'"', 0, end) % 2:  # a newline within a quoted name
            end = self._head.find(b"\n", end + 1)
        if end < 0 and len(self._head) <= _LONGEST:
            return False
        return self._complete(self._head[: max(end, 0)])

    def finish(self) -> bool:
        """The end of the CSV.

        :return: whether the header is complete with it: it is all there is.
        """
        return self._head is not None and self._complete(self._head)

    def _complete(self, head: bytes) -> bool:
        self._head = None
        try:
            text = head.decode("utf-8-sig", "replace")
            self.columns = tuple(next(csv.reader(io.StringIO(text, newline="")), ()))
        except csv.Error:
            pass  # no header
        return True
