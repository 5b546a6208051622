"""Atomic publication: the destination holds the complete new file or the previous one.

Each store has a module with two functions: ``check(path)`` and ``create(path, size, max_concurrency)``. To add a store,
write one and list its URL schemes in :func:`_store`. ``by_rename`` serves every store that has no module of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from airflow_provider_oleria.exceptions import OleriaError, OleriaInputError
from airflow_provider_oleria.transfer.destination import azure, by_rename, gcs, local, s3, sftp
from airflow_provider_oleria.transfer.destination.errors import store_error

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath


_UNUSABLE: Final = {
    "s3n": "use s3://",
    "adl": "use abfs://",
    **dict.fromkeys(
        ("msgraph", "sharepoint", "onedrive"), "save to another store, and copy the file from there in a task"
    ),
}
"""URL schemes that Airflow's providers register, but whose filesystems cannot read them (fsspec 2026.9)."""

_REMEDIES: Final = {
    **dict.fromkeys(("s3", "s3a"), "Install airflow-provider-oleria[s3]"),
    **dict.fromkeys(("gs", "gcs"), "Install airflow-provider-oleria[gcs]"),
    **dict.fromkeys(("abfs", "abfss"), "Install airflow-provider-oleria[azure]"),
    **dict.fromkeys(
        ("az", "azure", "wasb", "wasbs"), "Use abfs://, and install airflow-provider-oleria[azure]"
    ),
    # Older versions have no filesystem, or one that Airflow 2.11 cannot import.
    **dict.fromkeys(
        ("sftp", "ssh"),
        "Install airflow-provider-oleria[sftp] and apache-airflow-providers-sftp 5.7.2 or newer",
    ),
}
"""What to do for a URL scheme whose filesystem is missing, where an extra brings it."""

_WITH_BUCKET: Final = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "sftp", "ssh")
"""URL schemes whose first part is a bucket, a container or a server."""

_AZURE_HOSTS: Final = (".dfs.core.windows.net", ".blob.core.windows.net")


class NewFile(Protocol):
    """A file that is being written and is not at its destination yet."""

    def open(self) -> None:
        """Begin to write. Nothing exists in the store before: a signal may end a task within any line."""

    def write(self, data: bytes, /) -> object:
        """Append ``data``."""

    def publish(self) -> None:
        """Replace the destination with this file. Called once, after the last write."""

    def discard(self) -> None:
        """Remove what was written. Called once, after any error, even one of :meth:`open`."""


class Store(Protocol):
    """How one kind of store is written to."""

    def check(self, path: ObjectStoragePath) -> None:
        """Raise an error if ``path`` cannot be written."""

    def create(self, path: ObjectStoragePath, size: int, max_concurrency: int) -> NewFile:
        """A new file for ``path``, not yet opened."""


def _store(protocol: str) -> Store:
    match protocol:
        case "" | "file" | "local":
            return local
        case "s3" | "s3a":
            return s3
        case "gs" | "gcs":
            return gcs
        case "abfs" | "abfss":
            return azure
        case "sftp" | "ssh":
            return sftp
        case _:
            return by_rename


def resolve(destination: str | ObjectStoragePath) -> ObjectStoragePath:
    """Convert a destination to a path of Airflow's object storage.

    :param destination: an absolute path, or a URL such as ``s3://conn_id@bucket/key``.
    :raises OleriaInputError: if it is not the path of a file, its Connection does not exist, or the filesystem of its
        store is not installed.
    """
    from airflow_provider_oleria.compat import AirflowNotFoundException, ObjectStoragePath, has_fs

    # As text: ObjectStoragePath(path) is a TypeError on Airflow 3.3.2 where the path has no scheme.
    text = str(destination).strip()
    url = _checked_url(text)
    try:
        _check_connection(text, url)
        path = ObjectStoragePath(text)
        _ = path.fs  # finds the store's filesystem
    except OleriaInputError:
        raise
    except AirflowNotFoundException as error:
        raise OleriaInputError(
            f"destination {text!r} cannot be opened: {error}. Create the Connection, or correct its id"
        ) from error
    except Exception as error:
        if not has_fs(url.scheme):
            raise OleriaInputError(
                f"destination {text!r} cannot be opened: Airflow has no filesystem for {url.scheme}://. "
                f"{_remedy_for(url.scheme)}"
            ) from error
        if isinstance(error, ImportError):
            raise OleriaInputError(
                f"destination {text!r} cannot be opened: {error}. {_remedy_for(url.scheme)}"
            ) from error
        raise store_error(text, error, "opened") from error
    if not path.path.endswith(name := text.rpartition("/")[2]):
        raise OleriaInputError(
            f"destination {text!r}: this store takes a part of {name!r} for a query; choose a name without '?' and '#'"
        )
    return path


def _remedy_for(scheme: str) -> str:
    """What to do if the filesystem of a URL scheme is missing."""
    from fsspec.registry import known_implementations

    register = "register it with Airflow as 'Other filesystems' in docs/files.md shows"
    if scheme in _REMEDIES:
        return _REMEDIES[scheme]
    if scheme in known_implementations:
        hint = known_implementations[scheme].get("err")
        return f"fsspec has one{f' ({hint})' if hint else ''}: {register}"
    return f"Correct the scheme; if you have a filesystem for it, {register}"


def _checked_url(text: str) -> SplitResult:
    if not text or text.endswith("/"):
        raise OleriaInputError(f"destination must be the path of a file, not {text!r}")
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise OleriaInputError(f"destination {text!r} is not a URL: {error}") from error
    if url.scheme in _WITH_BUCKET and not url.path:
        raise OleriaInputError(f"destination must be the path of a file, not {text!r}, which names none")
    conn_id, _, host = url.netloc.rpartition("@")
    if url.scheme in ("", "file", "local") and (host or not url.path.startswith("/")):
        raise OleriaInputError(f"destination must be an absolute path or a URL, not {text!r}")
    if url.scheme in _UNUSABLE:
        raise OleriaInputError(
            f"destination {text!r}: {url.scheme}:// cannot be written; {_UNUSABLE[url.scheme]}"
        )
    if host.endswith(_AZURE_HOSTS):
        raise OleriaInputError(
            f"destination {text!r} is Azure's notation; Airflow's is "
            f"'{url.scheme}://<connection id>@{conn_id or '<container>'}{url.path}', with the account in the Connection"
        )
    return url


def _check_connection(text: str, url: SplitResult) -> None:
    from airflow_provider_oleria.compat import BaseHook

    if not (conn_id := url.netloc.rpartition("@")[0]):
        return
    # The Amazon provider only warns about an unknown id and uses the environment's credentials.
    connection = BaseHook.get_connection(conn_id)
    if url.scheme in ("sftp", "ssh") and connection.extra_dejson.get("private_key"):
        # Provider 7.0 passes the key where asyncssh expects a file name; the error would have the whole key.
        raise OleriaInputError(
            f"destination {text!r} cannot be opened: the filesystem of {url.scheme}:// cannot use the extra "
            f"'private_key' of the Connection {conn_id!r}. Write the key to a file, and set 'key_file'"
        )


def check_writable(path: ObjectStoragePath) -> None:
    """Check, before an export is started, that ``path`` can be written: rights, space, existence of the bucket.

    :raises OleriaInputError: if it cannot be written and a retry will not help.
    :raises OleriaDestinationError: if it cannot be written now.
    """
    with _store_errors(path):
        _store(path.protocol).check(path)


@contextmanager
def publish(path: ObjectStoragePath, size: int, max_concurrency: int = 1) -> Iterator[Writer]:
    """Write a file that appears at ``path`` when the block ends, and not at all if the block raises.

    :param path: destination, replaced atomically.
    :param size: expected size, in bytes; 0 if unknown.
    :param max_concurrency: connections to the store, where it accepts parts in parallel.
    :raises OleriaInputError: if it cannot be written and a retry will not help.
    :raises OleriaDestinationError: if it cannot be written now.
    """
    with _store_errors(path):
        file = _store(path.protocol).create(path, size, max_concurrency)
    try:
        with _store_errors(path):
            file.open()
        yield Writer(file, path)
        with _store_errors(path):
            file.publish()
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            file.discard()
        raise


class Writer:
    """The open end of a :class:`NewFile`; errors of its store are converted."""

    def __init__(self, file: NewFile, path: ObjectStoragePath) -> None:
        self._file = file
        self._path = path

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        with _store_errors(self._path):
            self._file.write(data)


@contextmanager
def _store_errors(path: ObjectStoragePath) -> Iterator[None]:
    """Convert every error of a store's filesystem."""
    try:
        yield
    except OleriaError:
        raise
    except Exception as error:
        raise store_error(path, error) from error
