"""Publication: a file stands at its destination whole, or what stood there before still does.

S3 and GCS publish an upload when it is completed. Elsewhere the file is written under a name of its own,
``.<name>.<random>.part``, and renamed. What a killed worker leaves behind is removed by whoever next writes to the same
destination: one task at a time, one destination.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

_LOCAL: Final = ("", "file", "local")
_S3: Final = ("s3", "s3a")
_COMMITTING: Final = (*_S3, "gs", "gcs")
"""Stores whose filesystem can hold an upload back until it is committed."""

_BLOCK: Final = 6 * 1024 * 1024
"""Bytes of an upload sent at a time, and held in memory; s3fs would take 50 MiB."""

_MOST_BLOCKS: Final = 9_000
"""S3 takes 10,000."""

_DRAIN: Final = 32 * 1024 * 1024
"""Bytes of a local file that are written to the disk at a time."""

_PROBE: Final = bytes(64 * 1024)
"""What is written to find out whether there is room at all."""

# What a retry does not mend, unlike a full disk or a store in trouble.
_LASTING: Final = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    ValueError,
)


def resolved(destination: str | ObjectStoragePath) -> ObjectStoragePath:
    """The destination as a path of Airflow's object storage.

    :raises OleriaInputError: it names no file, or a store whose filesystem is not installed.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    text = str(destination)
    if not text.strip() or text.endswith("/"):
        raise OleriaInputError(f"destination must be the path of a file, not {text!r}")
    try:
        path = ObjectStoragePath(destination)
        _ = path.fs  # which is what looks the store up, and its connection
    except (ValueError, ImportError) as problem:
        raise OleriaInputError(
            f"destination {text!r} cannot be opened: {problem}. Install the provider of that store"
        ) from problem
    return path


def check_writable(path: ObjectStoragePath) -> None:
    """Find out what can be found out before an export is started: permissions, room, and whether the bucket exists.

    :raises OleriaInputError: naming the destination and what is in the way.
    :raises OleriaDestinationError: likewise, where it may get out of the way.
    """
    try:
        if path.protocol in _LOCAL:
            _check_folder(Path(path.path))
        elif path.protocol in _S3:
            # Begun and given up: it needs the right to write, and leaves nothing.
            begun = _s3(path, "create_multipart_upload")
            _s3(path, "abort_multipart_upload", UploadId=begun["UploadId"])
        elif path.protocol not in _COMMITTING:
            _check_store(path)
    except _LASTING as problem:
        raise OleriaInputError(_cannot_be_written(path, problem)) from problem
    except _store_faults() as problem:
        raise OleriaDestinationError(_cannot_be_written(path, problem)) from problem


@contextmanager
def publication(path: ObjectStoragePath, size: int) -> Iterator[IO[bytes]]:
    """A file to write to, which appears at ``path`` when the block ends, and not at all when it raises.

    :param path: the destination.
    :param size: about how many bytes are to come.
    :raises OleriaDestinationError: it cannot be written.
    """
    if path.protocol in _LOCAL:
        publish = _local_file(Path(path.path))
    elif path.protocol in _COMMITTING:
        publish = _upload(path, size)
    else:
        publish = _renamed_object(path)
    try:
        with publish as file:
            yield file
    except _store_faults() as problem:
        raise OleriaDestinationError(_cannot_be_written(path, problem)) from problem


def _store_faults() -> tuple[type[Exception], ...]:
    """What a store's filesystem raises when it cannot be written to."""
    botocore = sys.modules.get("botocore.exceptions")  # loaded by whoever could raise one of its errors
    # s3fs makes an OSError of each answer of S3, but not of S3 being out of reach, or of there being no credentials.
    return (OSError, botocore.BotoCoreError) if botocore else (OSError,)


def _cannot_be_written(path: ObjectStoragePath, problem: Exception) -> str:
    return f"destination {str(path)!r} cannot be written: {problem}"


@contextmanager
def _local_file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    # In the same folder, since only there a rename is atomic.
    part = path.with_name(_part_name(path.name))
    try:
        # Opened the plain way, for the file mode the umask asks for.
        with io.BufferedWriter(_Draining(part, "xb")) as file:
            # Held as long as this process lives: how a leftover is told from a file somebody is writing.
            with suppress(OSError):  # some network filesystems have no locks; leftovers stay there, then
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


class _Draining(io.FileIO):
    """A file whose bytes go to the disk while more arrive: what :func:`os.fsync` waits for at the end is little."""

    _undrained = 0

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self._undrained += written
        if self._undrained >= _DRAIN and hasattr(os, "posix_fadvise"):
            # "Not needed any more" is how one asks Linux to begin writing, without waiting for it.
            with suppress(OSError):  # not every filesystem takes advice
                os.posix_fadvise(
                    self.fileno(), self.tell() - self._undrained, self._undrained, os.POSIX_FADV_DONTNEED
                )
            self._undrained = 0
        return written


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{escape(path.name)}.*.part"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its writer lives
            leftover.unlink()
            log.info("Removed %s, left behind by a process that was killed.", leftover)


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(_part_name(path.name))
    try:
        part.write_bytes(_PROBE)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _upload(path: ObjectStoragePath, size: int) -> Iterator[IO[bytes]]:
    if path.protocol in _S3:
        _abort_leftovers(path)
    # A plain open(…) publishes what was written so far when the block raises.
    block_size = max(_BLOCK, size // _MOST_BLOCKS + 1)
    file: Any = path.fs.open(path.path, "wb", autocommit=False, block_size=block_size)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        with suppress(Exception):  # what went wrong is the error to show
            file.discard()
        file.closed = True  # or the garbage collector would try to finish it
        raise
    finally:
        with suppress(ValueError):  # fsspec would hold on to it as part of a transaction
            path.fs.transaction.files.remove(file)


def _abort_leftovers(path: ObjectStoragePath) -> None:
    """Uploads to this very key that were begun and never completed: invisible, and paid for."""
    with suppress(OSError):  # not everybody who may write may list
        for upload in _s3(path, "list_multipart_uploads", prefix=True).get("Uploads", []):
            if upload["Key"] == path.fs.split_path(path.path)[1]:
                _s3(path, "abort_multipart_upload", UploadId=upload["UploadId"])
                log.info("Aborted an upload to %s, left behind by a process that was killed.", path)


def _s3(path: ObjectStoragePath, operation: str, *, prefix: bool = False, **arguments: str) -> dict[str, Any]:
    bucket, key, _ = path.fs.split_path(path.path)
    return dict(
        path.fs.call_s3(operation, Bucket=bucket, **{"Prefix" if prefix else "Key": key}, **arguments) or {}
    )


@contextmanager
def _renamed_object(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """For stores that cannot hold an upload back: written under another name, then moved."""
    fs, target, part = _beside(path)
    for leftover in fs.glob(f"{target.parent}/.{escape(target.name)}.*.part"):
        fs.rm_file(leftover)
        log.info("Removed %s, left behind by a process that was killed.", leftover)
    try:
        with fs.open(part, "wb") as file:
            yield file
        fs.mv(part, str(target))
    except BaseException:
        with suppress(Exception):  # what went wrong is the error to show
            fs.rm_file(part)
        raise


def _check_store(path: ObjectStoragePath) -> None:
    fs, target, part = _beside(path)
    if fs.isdir(str(target)):
        raise IsADirectoryError(f"{target} is a folder; give the path of a file in it")
    fs.pipe_file(part, _PROBE)
    fs.rm_file(part)


def _beside(path: ObjectStoragePath) -> tuple[Any, PurePosixPath, str]:
    """The filesystem, the target, and a name in the target's folder, which is made where it is missing."""
    target = PurePosixPath(path.path)
    path.fs.makedirs(str(target.parent), exist_ok=True)
    return path.fs, target, str(target.with_name(_part_name(target.name)))


def _part_name(name: str) -> str:
    """Hidden, and never matching ``*.csv``."""
    return f".{name}.{secrets.token_hex(4)}.part"
