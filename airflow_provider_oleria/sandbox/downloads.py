"""Downloads: made in the background, kept as files until the sandbox closes."""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

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


class StoredObject(NamedTuple):
    """An object of the store: the CSV as it is stored, compressed or not."""

    path: Path
    size: int
    etag: str
    content_encoding: str | None
    modified: float
    csv: Expected


@dataclass
class Download:
    """One download, with a copy of the settings at its creation, and the error code it ends with, if it fails."""

    id: str
    query: Query
    settings: Settings
    created: float
    stored: Future[StoredObject]
    fails: str | None


class Downloads:
    """All downloads of one sandbox; safe to use from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="oleria-sandbox-", ignore_cleanup_errors=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oleria-sandbox-download")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._downloads: dict[str, Download] = {}
        self._made: dict[str, Future[StoredObject]] = {}
        self._replacements = itertools.count(1)

    def create(self, query: Query, fails: str | None = None) -> Download:
        """Start a download, which ends with the error code ``fails`` if there is one."""
        settings = replace(self._settings)
        stored = self._store(query, settings)
        download = Download(str(uuid.uuid4()), query, settings, time.monotonic(), stored, fails)
        self._downloads[download.id] = download
        return download

    def find(self, download_id: str) -> Download | None:
        """Return the download with this id, if there is one."""
        return self._downloads.get(download_id)

    def status(self, download: Download) -> str:
        """Return ``accepted``, ``completed`` or ``failed``."""
        is_made = bool(download.fails) or download.stored.done()
        if not is_made or time.monotonic() < download.created + self._settings.export_seconds:
            return "accepted"
        return "failed" if download.fails or download.stored.exception() else "completed"

    def expected(self, download_id: str) -> Expected:
        """See :meth:`Sandbox.expected`."""
        return self._downloads[download_id].stored.result().csv

    def replace(self, download_id: str) -> Expected:
        """See :meth:`Sandbox.replace_export`."""
        download = self._downloads[download_id]
        seed = download.settings.seed + 1_000_003 * next(self._replacements)
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
        rows_of = (settings.rows, settings.seed, settings.day, "thresholds" in settings.departures)
        key = json.dumps([asdict(query), rows_of, settings.content_encoding], sort_keys=True)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._pool.submit(self._make, query, settings)
            return self._made[key]

    def _make(self, query: Query, settings: Settings) -> StoredObject:
        path = Path(self._folder.name, f"{uuid.uuid4().hex}.csv")
        thresholds = "thresholds" in settings.departures
        columns = columns_of(query.data_context, settings.seed, settings.day, thresholds=thresholds)
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
