"""Any other store: written beside the target under a temporary name, then moved."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_oleria.transfer.destination.parts import PROBE, is_part_of, part_name

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

_NOT_REPLACED: Final = (
    "the previous file was not replaced: this store does not move a file onto an existing one. Remove the previous "
    "file first, or give each file a name of its own"
)


def check(path: ObjectStoragePath) -> None:
    """Write a file in the target's folder, move it there, and remove it; onto another one if the target exists.

    :raises OSError: if that fails, or the target is a folder.
    :raises NotImplementedError: if the store does not move files.
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
        _move(fs, first, second, len(PROBE))
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
                leftover = PurePosixPath(found).name  # FTP (fsspec 2026.9) lists names without the folder
                if is_part_of(leftover, name):
                    log.info("Removing %s, left behind by a process that was killed.", leftover)
                    _remove(self._fs, str(PurePosixPath(folder, leftover)))
        self._file = self._fs.open(self._part, "wb")

    def write(self, data: bytes, /) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._written += len(data)

    def publish(self) -> None:
        """Move the file to the target, and check that it is there."""
        self._file.close()
        _move(self._fs, self._part, self._target, self._written)

    def discard(self) -> None:
        """Remove the new file."""
        with suppress(Exception):  # a broken connection, or open() was interrupted
            self._file.close()
        _remove(self._fs, self._part)


def _move(fs: Any, source: str, target: str, size: int) -> None:
    """Move a file, and check it before and after: some stores report success and do nothing.

    :param size: of the file, in bytes.
    :raises BlockingIOError: if the file is not there: another task has removed it.
    :raises FileExistsError: if the target is still the previous file.
    :raises NotImplementedError: if there is no file at the target afterwards.
    :raises OSError: if the store has not kept the whole file, or could not move it.
    """
    kept = _look(fs, source)
    if kept is None:
        raise BlockingIOError(errno.EAGAIN, "another task wrote the same file at the same time")
    if kept.get("size") not in (size, None):
        raise OSError(errno.EIO, f"the store has kept {kept['size']} of {size} bytes of the new file")
    failure, left = None, None
    if _has_rename(fs):
        try:
            fs.mv(source, target)
        except Exception as error:
            failure = error
        left = _look(fs, source)
    else:
        # fsspec's own mv copies and removes as well, but takes [, * and ? in the names for wildcards.
        fs.cp_file(source, target)
        _remove(fs, source)
    found = _look(fs, target)
    if failure is None:
        if found is None:
            raise NotImplementedError("this store reported that the file was moved, and it is not there")
        if left or found.get("size") not in (size, None):
            raise FileExistsError(_NOT_REPLACED)
        if not found:
            log.warning("%s is written. It could not be looked at to check that.", target)
    elif left is None and found and kept.get("size") == found.get("size") == size:
        log.warning("%s is written, although the store reported an error: %s", target, failure)
    elif isinstance(failure, FileExistsError) or getattr(failure, "errno", None) == errno.EEXIST:
        # smbprotocol has a class of its own; a FileExistsError may lack the errno.
        raise FileExistsError(_NOT_REPLACED) from failure
    else:
        raise failure


def _look(fs: Any, path: str) -> dict[str, Any] | None:
    """What the store knows of a file: nothing if it may not be looked at; ``None`` if there is no such file."""
    fs.invalidate_cache(str(PurePosixPath(path).parent))
    try:
        return dict(fs.info(path))
    except FileNotFoundError:
        return None
    except Exception as error:
        log.debug("%s could not be looked at: %s", path, error)
        return {}


def _has_rename(fs: Any) -> bool:
    from fsspec import AbstractFileSystem
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(fs, DirFileSystem):
        fs = fs.fs
    return getattr(fs.mv, "__func__", None) is not AbstractFileSystem.mv


def _remove(fs: Any, path: str) -> None:
    try:
        if fs.exists(path):
            fs.rm_file(path)
    except Exception as error:
        log.warning("%s could not be removed: %s", path, error)
