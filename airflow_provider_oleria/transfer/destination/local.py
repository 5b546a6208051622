"""Local and mounted files: written beside the target under a temporary name, synced to disk, then renamed."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_oleria.transfer.destination.parts import PROBE, is_part_of, part_name

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

_WRITEBACK: Final = 32 * 1024 * 1024
"""Bytes. For 1 GB that arrives at 100 to 250 MB/s, the final
fsync then takes 0.3 s instead of 1.5 s (ext4, 2026-11-28)."""


def check(path: ObjectStoragePath) -> None:
    """Write and remove a file in the target's folder, which is created if missing.

    :raises OSError: if that fails, the target is a folder, or this user must not replace it.
    :raises ValueError: if the target is a FIFO, a device, a socket or a mount point.
    """
    target = _target(path)
    part = target.with_name(part_name(target.name))
    try:
        part.write_bytes(PROBE)
    finally:
        try:
            part.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed: %s", part, error)


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> LocalFile:
    """A new file beside the target."""
    return LocalFile(_target(path))


class LocalFile:
    """A new file in the target's folder: a rename is atomic only within one filesystem.

    :param target: the file to replace.
    :param writeback: bytes after which the kernel is asked to write them to disk.
    """

    def __init__(self, target: Path, writeback: int = _WRITEBACK) -> None:
        self._target = target
        self._writeback = writeback
        self._part = target.with_name(part_name(target.name))
        self._file: BinaryIO
        self._written = self._requested = 0

    def open(self) -> None:
        """Remove the unfinished files of killed processes, and start this one."""
        _remove_leftovers(self._target)
        self._file = self._part.open("xb")
        # Held by this process as long as it lives: a leftover of a killed process is not locked.
        with suppress(OSError):  # some network filesystems have no locks
            fcntl.flock(self._file, fcntl.LOCK_EX)
        _copy_attributes(self._target, self._part)

    def write(self, data: bytes, /) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._written += len(data)
        if self._written - self._requested >= self._writeback and hasattr(os, "posix_fadvise"):
            # Linux starts to write these pages, without waiting for the disk.
            with suppress(OSError):  # not every filesystem supports it
                os.posix_fadvise(
                    self._file.fileno(),
                    self._requested,
                    self._written - self._requested,
                    os.POSIX_FADV_DONTNEED,
                )
            self._requested = self._written

    def publish(self) -> None:
        """Replace the target."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._target)
        with suppress(OSError):  # the file is published, and on disk
            self._file.close()
        _sync_folder(self._target)

    def discard(self) -> None:
        """Remove the new file."""
        # A full disk: what is still in the buffer cannot be written. Or open() was interrupted.
        with suppress(OSError, AttributeError):
            self._file.close()
        self._part.unlink(missing_ok=True)


def _target(path: ObjectStoragePath) -> Path:
    """The file to write, symbolic links followed; its folder exists afterwards."""
    target = Path(os.path.realpath(path.path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{target} is a folder; give the path of a file in it")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{target} is not a regular file")
    _check_replaceable(target)
    return target


def _check_replaceable(target: Path) -> None:
    """Find what only the rename at the end would meet, when the download is paid for."""
    if os.path.ismount(target):
        raise ValueError(
            f"{target} is a mount point, which cannot be replaced. Mount its folder instead of the file"
        )
    folder = target.parent.stat()
    owners = (0, folder.st_uid, target.stat().st_uid)
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in owners:
        raise PermissionError(
            f"{target} belongs to another user, and its folder has the sticky bit: only the owner may replace it"
        )


def _copy_attributes(previous: Path, part: Path) -> None:
    """Keep mode, ACL, owner and group of the file that is replaced, as far as this user may set them."""
    with suppress(OSError):  # FileNotFoundError: a first file has the mode of the umask
        status = previous.stat()
        shutil.copystat(previous, part)
        os.utime(part)  # an empty file has no write that would set its time
        try:
            os.chown(part, status.st_uid, status.st_gid)
        except PermissionError:
            os.chown(part, -1, status.st_gid)


def _remove_leftovers(target: Path) -> None:
    """Remove unfinished files of killed processes: regular files without a lock."""
    with suppress(OSError):  # in a folder that cannot be listed they remain
        for name in os.listdir(target.parent):
            if is_part_of(name, target.name):
                _remove_unlocked(target.with_name(name))


def _remove_unlocked(leftover: Path) -> None:
    with suppress(OSError):  # BlockingIOError: its process is alive
        handle = os.open(leftover, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
                log.info("Removed %s, left behind by a process that was killed.", leftover)
        finally:
            os.close(handle)


def _sync_folder(target: Path) -> None:
    """Make the rename survive a power failure. The file is published: no error here may fail the task."""
    try:
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        log.warning(
            "%s is published, but its folder could not be synced to disk: %s. A power failure within the next "
            "seconds may bring the previous file back.",
            target,
            error,
        )
