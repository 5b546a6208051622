"""Presigned URL → checked file at a destination, in constant memory."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.downloads import Column, SaveOptions
from airflow_provider_oleria.exceptions import OleriaObjectChangedError
from airflow_provider_oleria.net.redaction import clear_frames, guard_library_logs
from airflow_provider_oleria.transfer.background import BackgroundConsumer
from airflow_provider_oleria.transfer.checks import Checks
from airflow_provider_oleria.transfer.content_encoding import decoded
from airflow_provider_oleria.transfer.csv_records import RecordCounter
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.formats import check_options, column_type, converts, writer_for
from airflow_provider_oleria.transfer.progress import reported
from airflow_provider_oleria.transfer.source import Source

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transferred:
    """What was published."""

    size_bytes: int
    row_count: int
    sha256: str
    source_sha256: str
    columns: tuple[Column, ...]


@clear_frames
def transfer(
    fresh_url: Callable[[], str],
    destination: ObjectStoragePath,
    settings: Settings,
    options: SaveOptions,
) -> Transferred:
    """Bring the export home: published when it is whole and as asked for, discarded otherwise.

    :param fresh_url: asks the API for a presigned URL; asked again when one has expired.
    :param destination: where the file is to stand.
    :param settings: for the limits and certificates.
    :param options: how to fetch and what to ask of the file.
    :raises OleriaRetriesExhaustedError: it did not arrive whole, however often it was tried.
    :raises OleriaObjectChangedError: it was replaced in the store each time it was fetched.
    :raises OleriaCheckError: it is whole, but not as asked for.
    """
    guard_library_logs()
    try:
        return _transfer(fresh_url, destination, settings, options)
    except OleriaObjectChangedError as problem:
        log.warning("%s. Nothing is published; starting over once.", problem)
    return _transfer(fresh_url, destination, settings, options)


def _transfer(
    fresh_url: Callable[[], str], destination: ObjectStoragePath, settings: Settings, options: SaveOptions
) -> Transferred:
    with ExitStack() as stack:
        source = stack.enter_context(
            Source(fresh_url, settings, max_concurrency=options.max_concurrency, part_size=options.part_size)
        )
        file = stack.enter_context(publish(destination, source.size or 0, options.max_concurrency))
        received, written = _Digest(), _Digest()
        records, gates = RecordCounter(), Checks(options)
        converted = converts(str(destination))

        def examine(chunk: bytes) -> None:
            received.add(chunk)
            records.add(chunk)

        def write(data: bytes) -> None:
            if converted:
                written.add(data)
            file.write(data)

        writer = writer_for(str(destination), write, options)
        stack.callback(writer.abort)
        beside = stack.enter_context(BackgroundConsumer(examine))
        for chunk in decoded(reported(source.chunks(), source.size), source.encoding):
            gates.add(chunk)
            beside.add(chunk)
            writer.write(chunk)
        beside.finish()
        gates.finish(records.rows)
        writer.close()
        published = written if converted else received
        columns = tuple(
            Column(name, column_type(str(destination), name, options)) for name in gates.header.columns
        )
        return Transferred(published.size, records.rows, published.sha256, received.sha256, columns)


class _Digest:
    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._sha256.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def prepared(destination: str | ObjectStoragePath, options: SaveOptions) -> ObjectStoragePath:
    """The destination, once all is checked that can be before an export is started.

    :raises OleriaInputError: it is no file, cannot be written, or does not go with the options.
    """
    path = resolve(destination)
    check_options(str(path), options)
    check_writable(path)
    return path
