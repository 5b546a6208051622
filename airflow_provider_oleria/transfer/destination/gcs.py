"""Google Cloud Storage: gcsfs holds an upload back until it is committed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

_BLOCK_SIZE: Final = 6 * 1024 * 1024
"""Bytes that are sent at a time, and held in memory."""


def check(path: ObjectStoragePath) -> None:
    """Begin a resumable upload and cancel it: this needs the right to write, and leaves no object.

    :raises NotImplementedError: the bucket is zonal.
    """
    from fsspec.asyn import sync

    bucket, _, name = path.path.partition("/")
    # gcsfs (2026.10) has no public way to ask, and its filesystem without zonal buckets not this one either.
    is_zonal = getattr(path.fs, "_is_zonal_bucket", None)
    if is_zonal is not None and sync(path.fs.loop, is_zonal, bucket):
        raise NotImplementedError(
            "a zonal bucket shows a file under its name while it is written, so the previous one could not be kept. "
            "Save to a regional or multi-region bucket"
        )
    url = path.fs.base.replace("/storage/v1/", "/upload/storage/v1/b/{}/o")
    with _errors(path):
        headers, _ = path.fs.call("POST", url, bucket, uploadType="resumable", json={"name": name})
    try:
        path.fs.call("DELETE", headers["Location"])
    except Exception as error:
        # Not its text: it may have the URL of the upload, which needs no other credential.
        log.warning(
            "An empty upload to %s could not be cancelled (%s); it expires after a week.",
            path,
            type(error).__name__,
        )


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
        with _errors(self._path):
            self._file.write(data)

    def publish(self) -> None:
        """Complete the object."""
        with _errors(self._path):
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


@contextmanager
def _errors(path: ObjectStoragePath) -> Iterator[None]:
    """Replace two errors of gcsfs (2026.10): 403 is an OSError without a number, 404 has only a URL."""
    try:
        yield
    except FileNotFoundError as error:
        bucket = path.path.partition("/")[0]
        raise FileNotFoundError(f"no such bucket, or not visible with these credentials: {bucket}") from error
    except OSError as error:
        if str(error).startswith("Forbidden: "):
            raise PermissionError(" ".join(str(error).split())) from error
        raise
