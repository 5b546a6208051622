"""Any other store: written beside the target under a temporary name, then moved."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.transfer.destination.parts import PROBE, is_part_of, part_name

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

_NOT_REPLACED = (
    "{} was not replaced: this store does not move a file onto an existing one. Remove the previous file first, or "
    "give each file a name of its own"
)


def check(path: ObjectStoragePath) -> None:
    """Write and remove a file in the target's folder; if the target exists, try whether a move replaces a file.

    :raises OSError: if that fails, or the target is a folder.
    """
    fs, target = path.fs, PurePosixPath(path.path)
    if fs.isdir(str(target)):
        raise IsADirectoryError(f"{target} is a folder; give the path of a file in it")
    fs.makedirs(str(target.parent), exist_ok=True)
    first, second = (str(target.with_name(part_name(target.name))) for _ in range(2))
    try:
        fs.pipe_file(first, PROBE)
        if fs.exists(str(target)):
            fs.pipe_file(second, b"previous")
            with suppress(FileExistsError):
                _move(fs, first, second)
            if not _is_replaced(fs, first, second, len(PROBE)):
                raise FileExistsError(_NOT_REPLACED.format(target))
    finally:
        for probe in (first, second):
            _remove(fs, probe)
    if not _has_rename(fs):
        log.warning(
            "The store of %s has no rename: readers may see a part of the file while it is copied.", path
        )


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> MovedFile:
    """A new file beside the target."""
    return MovedFile(path.fs, PurePosixPath(path.path))


class MovedFile:
    """A new file in the target's folder."""

    def __init__(self, fs: Any, target: PurePosixPath) -> None:
        self._fs = fs
        self._target = str(target)
        self._part = str(target.with_name(part_name(target.name)))
        self._file: Any
        self._written = 0

    def open(self) -> None:
        """Remove the unfinished files of killed processes, and start this one."""
        folder, name = str(PurePosixPath(self._target).parent), PurePosixPath(self._target).name
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.invalidate_cache(folder)
        with suppress(Exception):  # in a folder that cannot be listed they remain
            for found in self._fs.ls(folder, detail=False):
                if is_part_of(PurePosixPath(found).name, name):
                    log.info("Removing %s, left behind by a process that was killed.", found)
                    _remove(self._fs, found)
        self._file = self._fs.open(self._part, "wb")

    def write(self, data: bytes, /) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._written += len(data)

    def publish(self) -> None:
        """Move the file to the target, and check that it is there.

        :raises FileExistsError: if the target is still the previous file.
        """
        self._file.close()
        _move(self._fs, self._part, self._target)
        try:
            replaced = _is_replaced(self._fs, self._part, self._target, self._written)
        except PermissionError as error:
            log.warning("%s is published, but could not be looked at: %s", self._target, error)
        else:
            if not replaced:
                raise FileExistsError(_NOT_REPLACED.format(self._target))

    def discard(self) -> None:
        """Remove the new file."""
        with suppress(Exception):  # a broken connection, or open() was interrupted
            self._file.close()
        _remove(self._fs, self._part)


def _move(fs: Any, source: str, target: str) -> None:
    """Move a file.

    :raises FileExistsError: if the store refuses to replace ``target``.
    """
    if not _has_rename(fs):
        # fsspec's own mv copies and removes as well, but takes [, * and ? in the names for wildcards.
        fs.cp_file(source, target)
        fs.rm_file(source)
        return
    try:
        fs.mv(source, target)
    except OSError as error:
        # smbprotocol has a class of its own; a FileExistsError may lack the errno.
        if isinstance(error, FileExistsError) or error.errno == errno.EEXIST:
            raise FileExistsError(_NOT_REPLACED.format(target)) from error
        raise


def _has_rename(fs: Any) -> bool:
    from fsspec import AbstractFileSystem

    return getattr(fs.mv, "__func__", None) is not AbstractFileSystem.mv


def _is_replaced(fs: Any, source: str, target: str, size: int) -> bool:
    """Whether a move of ``source`` replaced ``target``: some stores report success and do nothing."""
    fs.invalidate_cache(str(PurePosixPath(target).parent))
    return fs.size(target) in (size, None) and not fs.exists(source)


def _remove(fs: Any, path: str) -> None:
    try:
        if fs.exists(path):
            fs.rm_file(path)
    except Exception as error:
        log.warning("%s could not be removed: %s", path, error)
