"""Publication: a file stands at its destination whole, or what stood there before still does."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_oleria.errors import OleriaInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


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
    if _is_local(path) and Path(path.path).is_dir():
        raise OleriaInputError(f"destination {text!r} is a folder; give the path of a file in it")
    return path


@contextmanager
def publication(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """A file to write to, which appears at ``path`` when the block ends, and not at all when it raises."""
    with _local_file(Path(path.path)) if _is_local(path) else _stored_object(path) as file:
        yield file


@contextmanager
def _local_file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since only there a rename is atomic; never matching *.csv.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # Opened the plain way, for the file mode the umask asks for.
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _stored_object(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    # A plain open(…) publishes what was written so far when the block raises, on every fsspec store.
    file: Any = path.fs.open(path.path, "wb", autocommit=False)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        file.discard()
        raise


def _is_local(path: ObjectStoragePath) -> bool:
    return path.protocol in ("file", "local", "")
