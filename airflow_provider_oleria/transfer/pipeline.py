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
    """What was published; the attributes are those of :class:`~airflow_provider_oleria.downloads.SavedDownload`."""

    size_bytes: int
    row_count: int
    sha256: str
    source_sha256: str
    type_errors: int
    columns: tuple[Column, ...]


@clear_frames
def transfer(
    fresh_url: Callable[[], str],
    destination: ObjectStoragePath,
    settings: Settings,
    options: SaveOptions,
    source: Callable[..., Source] = Source,
) -> Transferred:
    """Save a completed export. The destination is replaced once the file is complete and checked, or left unchanged.

    :param fresh_url: gets a presigned URL from the API; called again when one has expired.
    :param destination: the file to write.
    :param settings: for the timeouts and certificates.
    :param options: how to fetch the file, and what it must be.
    :param source: creates the :class:`Source` of the file's bytes.
    :raises OleriaRetriesExhaustedError: the file did not arrive completely within the retry budget.
    :raises OleriaObjectChangedError: the store replaced the file during both attempts.
    :raises OleriaCheckError: a check failed.
    :raises OleriaFormatError: the CSV cannot be written in the destination's format.
    """
    guard_library_logs()
    try:
        return _transfer(fresh_url, destination, settings, options, source)
    except OleriaObjectChangedError as error:
        log.warning("%s. Nothing is published; starting over once.", error)
    return _transfer(fresh_url, destination, settings, options, source)


def _transfer(
    fresh_url: Callable[[], str],
    destination: ObjectStoragePath,
    settings: Settings,
    options: SaveOptions,
    new_source: Callable[..., Source],
) -> Transferred:
    with ExitStack() as stack:
        source = stack.enter_context(
            new_source(
                fresh_url, settings, max_concurrency=options.max_concurrency, part_size=options.part_size
            )
        )
        file = stack.enter_context(publish(destination, source.size or 0, options.max_concurrency))
        path = str(destination)
        received, written = _Digest(), _Digest()

        def write(data: bytes) -> None:
            if converts(path):
                written.write(data)
            file.write(data)

        writer = writer_for(path, write, options)
        stack.callback(writer.abort)
        records = RecordCounter()
        # A Parquet writer parses the records itself, and counts them.
        counts_rows = writer.row_count is not None
        background = BackgroundConsumer(received) if counts_rows else BackgroundConsumer(received, records)
        stack.callback(background.stop)
        checks = Checks(options)
        for chunk in decoded(reported(source.chunks(), source.size), source.encoding):
            background.write(chunk)
            checks.write(chunk)
            writer.write(chunk)
        background.close()
        writer.close()
        row_count = records.row_count if writer.row_count is None else writer.row_count
        checks.close(row_count)
        if records.problem:
            log.warning("The CSV may not be read as intended: %s. It is saved as received.", records.problem)
        published = written if converts(path) else received
        return Transferred(
            size_bytes=published.size,
            row_count=row_count,
            sha256=published.sha256,
            source_sha256=received.sha256,
            type_errors=writer.type_errors,
            columns=tuple(Column(name, column_type(path, name, options)) for name in checks.columns),
        )


class _Digest:
    """Size and SHA-256 of what is written."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        self.size += len(data)
        self._sha256.update(data)

    def close(self) -> None:
        pass

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def prepared(destination: str | ObjectStoragePath, options: SaveOptions) -> ObjectStoragePath:
    """The destination as a path, with everything checked that can be checked before an export is started.

    :raises OleriaInputError: it is no file, cannot be written, or does not fit the options.
    """
    path = resolve(destination)
    check_options(str(path), options)
    check_writable(path)
    return path
