"""Google Cloud Storage: gcsfs holds an upload back until it is committed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

_BLOCK_SIZE: Final = 6 * 1024 * 1024
"""Bytes that are sent at a time, and held in memory."""


def check(path: ObjectStoragePath) -> None:
    """Nothing can be checked without writing an object."""


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> GcsUpload:
    """A new object."""
    return GcsUpload(path)


class GcsUpload:
    """An object that is sent while it is written, in one resumable upload."""

    def __init__(self, path: ObjectStoragePath) -> None:
        self._path = path
        self._file: Any = None

    def open(self) -> None:
        """Start the upload."""
        # With autocommit, an error in the block would publish what was written so far.
        self._file = self._path.fs.open(self._path.path, "wb", autocommit=False, block_size=_BLOCK_SIZE)
        with suppress(ValueError):  # fsspec keeps the file until the end of a transaction, which never comes
            self._path.fs.transaction.files.remove(self._file)

    def write(self, data: bytes, /) -> None:
        """Append ``data``."""
        self._file.write(data)

    def publish(self) -> None:
        """Complete the object."""
        self._file.close()
        self._file.commit()

    def discard(self) -> None:
        """Give the upload up."""
        if self._file is None:
            return
        try:
            self._file.discard()
        finally:
            self._file.closed = True  # the garbage collector would complete it; fsspec has no public way
