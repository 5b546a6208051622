"""Downloads: made in the background, kept as files until the sandbox closes."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_oleria.sandbox.catalogue import columns_of
from airflow_provider_oleria.sandbox.columns import present
from airflow_provider_oleria.sandbox.query import Query
from airflow_provider_oleria.sandbox.rows import csv_of, select
from airflow_provider_oleria.sandbox.settings import Settings

_WBITS = {"gzip": 31, "deflate": 15}


@dataclass(frozen=True)
class Expected:
    """What a client should receive.

    :param row_count: records, without the header.
    :param size_bytes: size of the CSV.
    :param sha256: of the CSV, hexadecimal.
    :param path: a file that holds the CSV until the sandbox closes.
    """

    row_count: int
    size_bytes: int
    sha256: str
    path: Path


@dataclass(frozen=True)
class StoredObject:
    """An object of the store: the CSV as it is stored, compressed or not.

    :param path: the file with the stored bytes.
    :param size: size of the stored bytes.
    :param etag: of the stored bytes, in quotes.
    :param content_encoding: how they are compressed, or ``None``.
    :param modified: when they were stored, in seconds since the epoch.
    :param csv: the CSV.
    """

    path: Path
    size: int
    etag: str
    content_encoding: str | None
    modified: float
    csv: Expected


@dataclass
class Download:
    """One download.

    :param id: the download id.
    :param query: what it selects.
    :param settings: a copy of the sandbox's settings at its creation.
    :param created: when it was created, by the monotonic clock.
    :param stored: its file, once made.
    :param fails: the error code it ends with, or ``None``.
    """

    id: str
    query: Query
    settings: Settings
    created: float
    stored: Future[StoredObject]
    fails: str | None = None


class Downloads:
    """All downloads of one sandbox; safe to use from any thread.

    :param settings: the sandbox's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="oleria-sandbox-", ignore_cleanup_errors=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oleria-sandbox-download")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._downloads: dict[str, Download] = {}
        self._made: dict[str, Future[StoredObject]] = {}
        self._replacements = 0

    def create(self, query: Query, fails: str | None = None) -> Download:
        """Start a download.

        :param query: what it selects.
        :param fails: the error code it shall end with.
        """
        settings = replace(self._settings)
        stored = self._store(query, settings)
        download = Download(str(uuid.uuid4()), query, settings, time.monotonic(), stored, fails)
        with self._lock:
            self._downloads[download.id] = download
        return download

    def find(self, download_id: str) -> Download | None:
        """Return the download with this id, if there is one."""
        with self._lock:
            return self._downloads.get(download_id)

    def status(self, download: Download) -> str:
        """Return ``accepted``, ``completed`` or ``failed``."""
        if time.monotonic() < download.created + self._settings.export_seconds:
            return "accepted"
        if download.fails:
            return "failed"
        if not download.stored.done():
            return "accepted"
        return "failed" if download.stored.exception() else "completed"

    def expected(self, download_id: str) -> Expected:
        """Return what the client of a download should receive; waits until it is made.

        :param download_id: the download id.
        :raises KeyError: if there is no such download.
        """
        with self._lock:
            download = self._downloads[download_id]
        return download.stored.result().csv

    def replace(self, download_id: str) -> Expected:
        """Replace the file of a download by one with other rows; waits until it is made.

        :param download_id: the download id.
        :raises KeyError: if there is no such download.
        """
        with self._lock:
            download = self._downloads[download_id]
            self._replacements += 1
            seed = download.settings.seed + 1_000_003 * self._replacements
        stored = self._store(download.query, replace(download.settings, seed=seed))
        expected = stored.result().csv
        download.stored = stored
        return expected

    def close(self) -> None:
        """Stop what is being made and delete every file."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _store(self, query: Query, settings: Settings) -> Future[StoredObject]:
        """Make a file, or return the one that is already made for the same selection."""
        made_from = (settings.rows, settings.seed, settings.day, settings.content_encoding)
        key = json.dumps([query.data_context, query.filter_by, query.sort_by, made_from], sort_keys=True)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._pool.submit(self._make, query, settings)
            return self._made[key]

    def _make(self, query: Query, settings: Settings) -> StoredObject:
        path = Path(self._folder.name, f"{uuid.uuid4().hex}.csv")
        columns = columns_of(query.data_context, settings.seed, settings.day)
        rows = select(columns, present(settings.rows, settings.day), query.filter_by, query.sort_by)
        row_count = 0

        def pieces() -> Iterator[bytes]:
            nonlocal row_count
            for count, text in csv_of(columns, rows):
                row_count += count
                yield text.encode()

        size, sha256 = self._write(path, pieces())
        csv = Expected(row_count, size, sha256, path)
        if encoding := settings.content_encoding:
            path = path.with_suffix(f".csv.{encoding}")
            size, sha256 = self._write(path, _compressed(csv.path, _WBITS[encoding]))
        # As long as the MD5 that S3 uses for simple objects.
        return StoredObject(path, size, f'"{sha256[:32]}"', encoding, time.time(), csv)

    def _write(self, path: Path, pieces: Iterator[bytes]) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with path.open("wb") as file:
            for piece in pieces:
                if self._closing.is_set():
                    raise CancelledError
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        return size, digest.hexdigest()


def _compressed(path: Path, wbits: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, wbits)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield compressor.compress(block)
    yield compressor.flush()
