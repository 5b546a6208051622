"""Starts a download, waits for it, and saves it.

DAG files import this module, so what only a run needs is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_oleria.arguments import (
    TEMPLATE_SUFFIX,
    check_text,
    destination_path,
    is_template_file,
    is_unrendered,
    known_suffix,
    rendered,
    seconds,
    switch,
    without_template_files,
)
from airflow_provider_oleria.compat import BaseOperator, conf
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import (
    DataContext,
    Download,
    DownloadStatus,
    SavedDownload,
    SaveOptions,
)
from airflow_provider_oleria.exceptions import OleriaInputError, OleriaTransientError
from airflow_provider_oleria.filters import checked_filters, checked_sorts, in_words
from airflow_provider_oleria.links.oleria import OleriaSavedFileLink
from airflow_provider_oleria.tasks.deferral import (
    checks_arguments,
    fail_without_retries,
    stopped_message,
    trigger_timeout,
)
from airflow_provider_oleria.transfer.formats import check_effect

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.compat import ObjectStoragePath
    from airflow_provider_oleria.hooks.oleria import OleriaHook
    from airflow_provider_oleria.tasks.durable import ResumeRecord, StartedDownload

_OPTIONS = tuple(field.name for field in fields(SaveOptions))
_COLLECTIONS = ("required_columns", "exact_columns", "column_types", "null_values")
"""The options that are lists or dicts."""


class _SavingOperator(BaseOperator):
    """What the operators that save a file share."""

    ui_color = "#e6ecff"
    operator_extra_links = (OleriaSavedFileLink(),)
    template_ext: Sequence[str] = (TEMPLATE_SUFFIX,)
    template_fields_renderers = dict.fromkeys(("filter_by", "sort_by", *_COLLECTIONS), "json")

    oleria_conn_id: str
    destination: Any
    data_context: Any = None
    saved: SavedDownload | None = None
    _saves = True
    _executing = False

    @cached_property
    def hook(self) -> OleriaHook:
        """The hook."""
        from airflow_provider_oleria.hooks.oleria import OleriaHook

        return OleriaHook(self.oleria_conn_id)

    def on_kill(self) -> None:
        """End the process, so that the unfinished file is discarded: Airflow 3 would let the task continue."""
        if self._executing:
            raise SystemExit("killed by Airflow")

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The lineage of a task that has ended, for the OpenLineage provider.

        :param task_instance: Airflow's.
        """
        from airflow_provider_oleria.observability import lineage

        read = self.hook._context_uri(self.data_context) if self.data_context else None
        return lineage.operator_lineage(read, self.saved)

    def _check_when_parsed(self) -> None:
        """Check the destination and the options, except those that wait for a template."""
        check_text("oleria_conn_id", self.oleria_conn_id)
        for name in _COLLECTIONS:
            setattr(self, name, without_template_files(getattr(self, name)))
        known = {name: value for name in _OPTIONS if not _is_template(value := getattr(self, name))}
        options = SaveOptions(**known)
        if self._saves and (isinstance(self.destination, str) or not is_unrendered(self.destination)):
            # Kept as text: copies of an ObjectStoragePath lose its Airflow Connection.
            self.destination = destination_path(self.destination)
            check_effect(known_suffix(self.destination) or ".parquet", options)

    def _check_rendered(self) -> SaveOptions:
        """Check what templates have left."""
        for name in self.template_fields:
            setattr(self, name, rendered(name, getattr(self, name)))
        if self._saves:
            self.destination = destination_path(self.destination)
        return SaveOptions(**{name: getattr(self, name) for name in _OPTIONS})

    @contextmanager
    def _execution(self) -> Iterator[None]:
        self._executing = True
        try:
            with fail_without_retries():
                yield
        finally:
            self._executing = False

    def _save(self, context: Context, download_id: str, options: SaveOptions) -> dict[str, Any]:
        from airflow_provider_oleria.observability.outlets import describe_outlets

        saved = self.hook.save_download(download_id, self.destination, options)
        data_context = str(self.data_context) if self.data_context else None
        self.saved = replace(saved, data_context=data_context)
        describe_outlets(context, self.outlets, self.saved)
        return dict(self.saved)


def _is_template(value: Any) -> bool:
    return is_unrendered(value) or is_template_file(value)


class OleriaDownloadOperator(_SavingOperator):
    """Exports one data context: starts a download, waits for it, and saves the CSV.

    Returns ``{"download_id", "data_context", "status"}`` and, once saved, ``"path", "uri", "size_bytes",
    "row_count", "sha256", "source_sha256", "type_errors"``. Each key is also an XCom of its own:
    ``export.output["path"]``.

    What a retry cannot fix (credentials, permissions, filters, a failed download, a check) fails the task at once. On
    Airflow 3.3 and newer any other try, and a task that is cleared after a failure, resumes the download that an
    earlier try has started (see ``durable``). A task that is cleared after a success starts a new one.

    Templates are rendered to text: a number, a list or a dict may be given as text, as JSON or Python spells it.
    ``filter_by`` and ``sort_by`` may also be the path of a ``.json`` file beside the DAG.

    :param data_context: what to export, such as ``DataContext.ACCESS_INVENTORY_IDENTITIES``. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)
    :param filter_by: filters, combined with AND: built with ``Filter``, or the API's own dicts. (templated)
    :param sort_by: sort orders: built with ``Sort``, or the API's own dicts. (templated)
    :param destination: absolute path or URL of the file: anything ``ObjectStoragePath`` takes. Its suffix decides the
        format: ``.csv.gz``, ``.csv.zst``, ``.parquet``; with any other the CSV is saved as received. Without a
        destination, the task ends when the download is completed. (templated)
    :param wait_for_completion: with ``False`` the task ends when the download is started; a try that finds one started
        returns that one, with its present status.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poll_interval: shortest pause between two polls, in seconds or as a ``timedelta``.
    :param max_poll_interval: longest pause, in seconds or as a ``timedelta``.
    :param timeout: how long the download may take, in seconds or as a ``timedelta``. It counts from the creation of the
        download, across deferral, retries and restarts. A try that comes later polls once: it saves the download if it
        is completed, and fails if not.
    :param durable: store the download id in Airflow's task state store (Airflow 3.3 and newer; before, every try starts
        a new download). A download that failed, is gone, or was started with other arguments or for another Connection
        is not resumed.
    :param resume_window: how old a download may be to be resumed, in seconds or as a ``timedelta``. With the value of
        ``timeout``, a retry after a timeout starts a new download.
    :param min_rows: check: smallest number of rows, without the header. (templated)
    :param required_columns: check: columns that the file must have, among others, in any order. (templated)
    :param exact_columns: check: the exact header, in this order. (templated)
    :param column_types: for a ``.parquet`` destination: column → type, for columns that are not to be strings.
        (templated)
    :param null_values: texts that are null, like the empty one, in the columns of ``column_types``,
        strings excepted. (templated)
    :param on_type_error: what happens if a value does not fit its type: ``fail``, or ``null`` (it becomes null, and is
        counted in the log and in the result's ``type_errors``).
    :param compression: of a ``.parquet``: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows in a row group of a ``.parquet``.
    :param max_bytes: check: largest size of the CSV, in bytes; default 50 GiB.
    :param max_concurrency: how many parts of a large file are transferred at once; 1 uses a single stream.
    :param part_size: size of a part, in bytes. A transfer holds ``max_concurrency`` times ``part_size`` in memory.
    :param multiple_outputs: push each key of the result as an XCom of its own.
    """

    template_fields: Sequence[str] = (
        "data_context",
        "oleria_conn_id",
        "filter_by",
        "sort_by",
        "destination",
        "min_rows",
        *_COLLECTIONS,
    )

    @checks_arguments
    def __init__(
        self,
        *,
        data_context: str,
        oleria_conn_id: str = DEFAULT_CONN_ID,
        filter_by: Sequence[Mapping[str, Any]] | str | None = None,
        sort_by: Sequence[Mapping[str, Any]] | str | None = None,
        destination: str | ObjectStoragePath | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 5,
        max_poll_interval: float | timedelta = 60,
        timeout: float | timedelta = 3600,
        durable: bool = True,
        resume_window: float | timedelta = 24 * 3600,
        min_rows: int | str | None = None,
        required_columns: Sequence[str] | str | None = None,
        exact_columns: Sequence[str] | str | None = None,
        column_types: Mapping[str, str] | str | None = None,
        null_values: Sequence[str] | str = SaveOptions.null_values,
        on_type_error: Literal["fail", "null"] = SaveOptions.on_type_error,
        compression: str = SaveOptions.compression,
        row_group_size: int = SaveOptions.row_group_size,
        max_bytes: int = SaveOptions.max_bytes,
        max_concurrency: int = SaveOptions.max_concurrency,
        part_size: int = SaveOptions.part_size,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.data_context = data_context
        self.oleria_conn_id = oleria_conn_id
        self.filter_by = without_template_files(filter_by)
        self.sort_by = without_template_files(sort_by)
        self.destination = destination
        self.wait_for_completion = switch("wait_for_completion", wait_for_completion)
        self.deferrable = switch("deferrable", deferrable)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.max_poll_interval = seconds("max_poll_interval", max_poll_interval)
        self.timeout = seconds("timeout", timeout)
        self.durable = switch("durable", durable)
        self.resume_window = seconds("resume_window", resume_window)
        self.min_rows = min_rows
        self.required_columns = required_columns
        self.exact_columns = exact_columns
        self.column_types = column_types
        self.null_values = null_values
        self.on_type_error = on_type_error
        self.compression = compression
        self.row_group_size = row_group_size
        self.max_bytes = max_bytes
        self.max_concurrency = max_concurrency
        self.part_size = part_size
        self._saves = destination is not None
        self._download: Download | None = None
        if self._saves and not wait_for_completion:
            raise OleriaInputError(
                "destination needs wait_for_completion: only a completed download can be saved"
            )
        check_text("data_context", data_context)
        if not is_unrendered(data_context):
            DataContext.warn_if_unknown(data_context)
        if not is_template_file(self.filter_by):
            checked_filters(self.filter_by)
        if not is_template_file(self.sort_by):
            checked_sorts(self.sort_by)
        self._check_when_parsed()

    def execute(self, context: Context) -> dict[str, Any]:
        """Start a download, or resume one; wait for it here or in the triggerer; save it."""
        from airflow_provider_oleria.net.route import find_route
        from airflow_provider_oleria.transfer.pipeline import prepared

        with self._execution():
            options = self._check_rendered()
            if self._saves:
                prepared(self.destination, options)
            if self.deferrable and self.wait_for_completion:
                find_route(self.hook._settings.api_url, self.hook._settings, in_triggerer=True)
            record = self._record(context, options)
            started = self._resume_or_start(record)
            self._download = started.download
            if not self.wait_for_completion:
                record.delete()
                return self._result(started.download)
            with record.kept_up_to_date():
                if started.download.status is not DownloadStatus.COMPLETED:
                    self._wait(started)
                download = replace(started.download, status=DownloadStatus.COMPLETED)
                return self._finish(context, record, options, download, started.created_at)

    def execute_complete(
        self,
        context: Context,
        event: Any,
        created_at: float | None = None,
        data_context: str | None = None,
    ) -> dict[str, Any]:
        """Resume after the deferral: save the download from a new URL.

        :param event: the trigger's event.
        :param created_at: when the download was created, in epoch seconds.
        :param data_context: of the download.
        """
        from airflow_provider_oleria.triggers.oleria import completed_download

        with self._execution():
            options = self._check_rendered()
            record = self._record(context, options)
            with record.kept_up_to_date():
                download = Download(completed_download(event), DownloadStatus.COMPLETED)
                if data_context not in (None, str(self.data_context)):
                    raise OleriaTransientError(
                        f"download {download.download_id} is of {data_context}, and the task now exports "
                        f"{self.data_context}: the DAG has changed. It is not saved; another try starts a new download"
                    )
                return self._finish(context, record, options, download, created_at)

    def on_kill(self) -> None:
        """Log the download's last status, and end the process."""
        if self._download is not None:
            self.log.warning("%s.", stopped_message(self._download.download_id, self._download.status))
        super().on_kill()

    def _record(self, context: Context, options: SaveOptions) -> ResumeRecord:
        from airflow_provider_oleria.api.protocol import build_download_body
        from airflow_provider_oleria.tasks.durable import ResumeRecord, fingerprint

        body = build_download_body(self.data_context, self.filter_by, self.sort_by)
        return ResumeRecord(
            context.get("task_state_store") if self.durable else None,
            # Not the client id: it changes when the credentials are rotated.
            request=fingerprint(self.hook._settings.api_url, self.oleria_conn_id, body),
            saving=fingerprint(self.destination, asdict(options)),
        )

    def _resume_or_start(self, record: ResumeRecord) -> StartedDownload:
        from airflow_provider_oleria.observability import metrics

        found = record.load(self.resume_window, self.hook.get_download)
        if found:
            metrics.count(metrics.RESUMED, oleria_conn_id=self.oleria_conn_id)
            return found
        # Nothing between the two: a download whose id is not stored cannot be resumed.
        return record.save(self.hook.create_download(self.data_context, self.filter_by, self.sort_by))

    def _wait(self, started: StartedDownload) -> None:
        download_id, deadline = started.download.download_id, started.created_at + self.timeout
        limits = self.poll_interval, self.max_poll_interval, deadline, started.created_at
        # After the deadline there is one poll left, which needs no deferral.
        if self.deferrable and time.time() < deadline:
            from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

            self.defer(
                trigger=OleriaDownloadTrigger(download_id, self.oleria_conn_id, *limits),
                method_name="execute_complete",
                kwargs={"created_at": started.created_at, "data_context": str(self.data_context)},
                timeout=trigger_timeout(deadline),
            )
        self.hook._wait(download_id, *limits)

    def _finish(
        self,
        context: Context,
        record: ResumeRecord,
        options: SaveOptions,
        download: Download,
        created_at: float | None,
    ) -> dict[str, Any]:
        self._download = download
        self.log.info(
            "Download %s of %s%s is completed%s.",
            download.download_id,
            self.data_context,
            in_words(self.filter_by, self.sort_by),
            f", {time.time() - created_at:.0f} s after its start" if created_at else "",
        )
        result = self._save(context, download.download_id, options) if self._saves else self._result(download)
        record.delete()
        return result

    def _result(self, download: Download) -> dict[str, Any]:
        return {
            "download_id": download.download_id,
            "data_context": str(self.data_context),
            "status": str(download.status),
        }


class OleriaSaveDownloadOperator(_SavingOperator):
    """Saves a completed download: the last step of :class:`OleriaDownloadOperator` alone.

    Returns the same dict without ``data_context``, which the API does not report.

    :param download_id: the completed download, such as ``create.output["download_id"]``. (templated)
    :param destination: absolute path or URL of the file: anything ``ObjectStoragePath`` takes. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)
    :param min_rows: check: smallest number of rows, without the header. (templated)
    :param required_columns: check: columns that the file must have, among others, in any order. (templated)
    :param exact_columns: check: the exact header, in this order. (templated)
    :param column_types: for a ``.parquet`` destination: column → type, for columns that are not to be strings.
        (templated)
    :param null_values: texts that are null, like the empty one, in the columns of ``column_types``,
        strings excepted. (templated)
    :param on_type_error: what happens if a value does not fit its type: ``fail``, or ``null`` (it becomes null, and is
        counted in the log and in the result's ``type_errors``).
    :param compression: of a ``.parquet``: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows in a row group of a ``.parquet``.
    :param max_bytes: check: largest size of the CSV, in bytes; default 50 GiB.
    :param max_concurrency: how many parts of a large file are transferred at once; 1 uses a single stream.
    :param part_size: size of a part, in bytes. A transfer holds ``max_concurrency`` times ``part_size`` in memory.
    :param multiple_outputs: push each key of the result as an XCom of its own.
    """

    template_fields: Sequence[str] = (
        "download_id",
        "oleria_conn_id",
        "destination",
        "min_rows",
        *_COLLECTIONS,
    )

    @checks_arguments
    def __init__(
        self,
        *,
        download_id: str,
        destination: str | ObjectStoragePath,
        oleria_conn_id: str = DEFAULT_CONN_ID,
        min_rows: int | str | None = None,
        required_columns: Sequence[str] | str | None = None,
        exact_columns: Sequence[str] | str | None = None,
        column_types: Mapping[str, str] | str | None = None,
        null_values: Sequence[str] | str = SaveOptions.null_values,
        on_type_error: Literal["fail", "null"] = SaveOptions.on_type_error,
        compression: str = SaveOptions.compression,
        row_group_size: int = SaveOptions.row_group_size,
        max_bytes: int = SaveOptions.max_bytes,
        max_concurrency: int = SaveOptions.max_concurrency,
        part_size: int = SaveOptions.part_size,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.download_id = download_id
        self.destination = destination
        self.oleria_conn_id = oleria_conn_id
        self.min_rows = min_rows
        self.required_columns = required_columns
        self.exact_columns = exact_columns
        self.column_types = column_types
        self.null_values = null_values
        self.on_type_error = on_type_error
        self.compression = compression
        self.row_group_size = row_group_size
        self.max_bytes = max_bytes
        self.max_concurrency = max_concurrency
        self.part_size = part_size
        check_text("download_id", download_id)
        self._check_when_parsed()

    def execute(self, context: Context) -> dict[str, Any]:
        """Save the download."""
        with self._execution():
            return self._save(context, self.download_id, self._check_rendered())
