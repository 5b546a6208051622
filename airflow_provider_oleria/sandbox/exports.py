"""Exports: made in the background, kept as files on disk until the sandbox closes."""

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
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.sandbox.catalogue import columns_of
from airflow_provider_oleria.sandbox.days import present
from airflow_provider_oleria.sandbox.query import Query
from airflow_provider_oleria.sandbox.selection import csv_of, select
from airflow_provider_oleria.sandbox.settings import Settings

_WBITS = {"gzip": 31, "deflate": 15}


@dataclass(frozen=True)
class Population:
    """Which rows there are to export: the knobs of :class:`Settings` that say so."""

    rows: int
    seed: int
    day: int


@dataclass(frozen=True)
class Expected:
    """What a client should end up with.

    :param row_count: records, without the header.
    :param size_bytes: of the CSV.
    :param sha256: of the CSV, hexadecimal.
    :param path: a file that holds the CSV until the sandbox closes.
    """

    row_count: int
    size_bytes: int
    sha256: str
    path: Path


@dataclass(frozen=True)
class StoredObject:
    """An object of the store: the CSV as it is kept, compressed or not.

    :param path: the file with the stored bytes.
    :param size: of the stored bytes.
    :param etag: of the stored bytes, in quotes.
    :param content_encoding: how they are compressed, if they are.
    :param modified: when they were stored, in seconds since the epoch.
    :param csv: what they decode to.
    """

    path: Path
    size: int
    etag: str
    content_encoding: str | None
    modified: float
    csv: Expected


@dataclass
class Export:
    """One download request.

    :param id: the download id.
    :param query: what it asked for.
    :param population: what there was to export.
    :param created: when, by the monotonic clock.
    :param content_encoding: how it is stored.
    :param stored: what it makes.
    :param fails: the error code it ends with, if it is ordered to fail.
    """

    id: str
    query: Query
    population: Population
    created: float
    content_encoding: str | None
    stored: Future[StoredObject]
    fails: str | None = None


class Exports:
    """All exports of one sandbox; safe to use from any thread.

    :param settings: the sandbox's knobs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="oleria-sandbox-", ignore_cleanup_errors=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oleria-sandbox-export")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._exports: dict[str, Export] = {}
        self._made: dict[str, Future[StoredObject]] = {}
        self._replacements = 0

    def create(self, query: Query, fails: str | None = None) -> Export:
        """Start an export.

        :param query: what to export.
        :param fails: the error code it shall end with.
        """
        settings = self._settings
        population, encoding = (
            Population(settings.rows, settings.seed, settings.day),
            settings.content_encoding,
        )
        stored = self._store(query, population, encoding)
        export = Export(str(uuid.uuid4()), query, population, time.monotonic(), encoding, stored, fails)
        with self._lock:
            self._exports[export.id] = export
        return export

    def find(self, download_id: str) -> Export | None:
        """The export with this id, if there is one."""
        with self._lock:
            return self._exports.get(download_id)

    def status(self, export: Export) -> DownloadStatus:
        """Where an export stands."""
        if time.monotonic() < export.created + self._settings.export_seconds:
            return DownloadStatus.ACCEPTED
        if export.fails:
            return DownloadStatus.FAILED
        if not export.stored.done():
            return DownloadStatus.ACCEPTED
        return DownloadStatus.FAILED if export.stored.exception() else DownloadStatus.COMPLETED

    def expected(self, download_id: str) -> Expected:
        """What the client of an export should end up with; waits until it is made.

        :param download_id: the download id.
        :raises KeyError: for an id that was never given out.
        """
        with self._lock:
            export = self._exports[download_id]
        return export.stored.result().csv

    def replace(self, download_id: str) -> Expected:
        """Put other data where an export's object stands, as if it had been exported anew; waits until it is made.

        :param download_id: the download id.
        :raises KeyError: for an id that was never given out.
        """
        with self._lock:
            export = self._exports[download_id]
            self._replacements += 1
            seed = self._settings.seed + 1_000_003 * self._replacements
        stored = self._store(export.query, replace(export.population, seed=seed), export.content_encoding)
        expected = stored.result().csv
        export.stored = stored
        return expected

    def close(self) -> None:
        """Stop what is being made and delete every file."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _store(self, query: Query, population: Population, encoding: str | None) -> Future[StoredObject]:
        question = [query.data_context, query.filter_by, query.sort_by, astuple(population), encoding]
        key = json.dumps(question, sort_keys=True)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._pool.submit(self._make, query, population, encoding)
            return self._made[key]

    def _make(self, query: Query, population: Population, encoding: str | None) -> StoredObject:
        path = Path(self._folder.name, f"{uuid.uuid4().hex}.csv")
        columns = columns_of(query.data_context, population.seed, population.day)
        rows = present(population.rows, population.day)
        row_count = size = 0
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for count, text in csv_of(columns, select(columns, rows, query.filter_by, query.sort_by)):
                self._go_on()
                piece = text.encode()
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                row_count += count
        csv = Expected(row_count, size, digest.hexdigest(), path)
        if encoding is None:
            return StoredObject(path, size, _etag(digest.hexdigest()), None, time.time(), csv)
        return self._compressed(csv, encoding)

    def _compressed(self, csv: Expected, encoding: str) -> StoredObject:
        path = csv.path.with_suffix(f".csv.{encoding}")
        size, digest = 0, hashlib.sha256()
        with path.open("wb") as file:
            for piece in _deflated(csv.path, _WBITS[encoding]):
                self._go_on()
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        return StoredObject(path, size, _etag(digest.hexdigest()), encoding, time.time(), csv)

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise CancelledError


def _deflated(path: Path, wbits: int) -> Iterator[bytes]:
    squeezer = zlib.compressobj(1, zlib.DEFLATED, wbits)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield squeezer.compress(block)
    yield squeezer.flush()


def _etag(digest: str) -> str:
    # As long as the MD5 that S3 gives simple objects; clients must not look inside anyway.
    return f'"{digest[:32]}"'
