"""Create → wait → save.

What only a run needs is imported where it is used: DAG files import this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.api.polling import PollSchedule, check_seconds
from airflow_provider_oleria.compat import BaseOperator, conf
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import (
    DataContext,
    Download,
    DownloadStatus,
    SavedDownload,
    SaveOptions,
)
from airflow_provider_oleria.filters import checked_filters, checked_sorts, in_words, is_unrendered
from airflow_provider_oleria.links.oleria import OleriaGuideLink, OleriaSavedFileLink
from airflow_provider_oleria.tasks.deferral import abandoned_message, fail_without_retries, trigger_timeout
from airflow_provider_oleria.transfer.formats import check_effect

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.compat import ObjectStoragePath
    from airflow_provider_oleria.hooks.oleria import OleriaHook
    from airflow_provider_oleria.tasks.durable import ResumeRecord, StartedExport


class _SavingOperator(BaseOperator):
    """What the two operators that save a file have in common."""

    ui_color = "#e6ecff"
    operator_extra_links = (OleriaGuideLink(), OleriaSavedFileLink())

    data_context: Any = None
    saved: SavedDownload | None = None

    def __init__(
        self,
        *,
        oleria_conn_id: str = DEFAULT_CONN_ID,
        destination: str | ObjectStoragePath | None = None,
        min_rows: int | None = None,
        required_columns: Sequence[str] | None = None,
        exact_columns: Sequence[str] | None = None,
        column_types: Mapping[str, str] | None = None,
        compression: str = SaveOptions.compression,
        row_group_size: int = SaveOptions.row_group_size,
        max_concurrency: int = SaveOptions.max_concurrency,
        part_size: int = SaveOptions.part_size,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self._at_work = False
        self.oleria_conn_id = oleria_conn_id
        self.destination: Any = destination  # what templating makes of it is checked when the task runs
        self.save_options = SaveOptions(
            min_rows=min_rows,
            required_columns=required_columns,
            exact_columns=exact_columns,
            column_types=column_types,
            compression=compression,
            row_group_size=row_group_size,
            max_concurrency=max_concurrency,
            part_size=part_size,
        )
        if isinstance(destination, str) and not destination.endswith("}}"):
            check_effect(destination, self.save_options)

    @cached_property
    def hook(self) -> OleriaHook:
        """The hook, made when the task runs."""
        from airflow_provider_oleria.hooks.oleria import OleriaHook

        return OleriaHook(self.oleria_conn_id)

    def on_kill(self) -> None:
        """End the work so that nothing of it is left: Airflow 3 itself would let it go on."""
        if self._at_work:
            raise SystemExit("killed by Airflow")

    @contextmanager
    def _working(self) -> Iterator[None]:
        self._at_work = True
        try:
            with fail_without_retries():
                yield
        finally:
            self._at_work = False

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage, where it is installed, is told when the task has ended.

        :param task_instance: Airflow's.
        """
        from airflow_provider_oleria.observability import lineage

        read = self.hook.context_uri(self.data_context) if self.data_context else None
        return lineage.operator_lineage(read, self.saved)

    def _save(self, context: Context, download_id: str) -> dict[str, Any]:
        from airflow_provider_oleria.observability.outlets import describe_outlets

        saved = self.hook.save_download(download_id, self.destination, self.save_options)
        data_context = str(self.data_context) if self.data_context else None
        self.saved = replace(saved, data_context=data_context)
        describe_outlets(context, self.outlets, self.saved)
        return self.saved.as_dict()


class OleriaDownloadOperator(_SavingOperator):
    """Exports one data context: starts the export, waits for it, and saves the CSV.

    Returns ``{"download_id", "data_context", "status"}`` and, once saved, ``"path", "size_bytes", "row_count",
    "sha256"``: each also as an XCom of its own, so that ``export.output["path"]`` works.

    What no retry can mend (credentials, permissions, filters, a failed export, a gate) fails the task at once. Any
    other try, and a task cleared after a failure, goes on with the export an earlier try has started, if that is still
    of use (Airflow 3.3 and newer; see ``durable``). A task cleared after a success starts a new one.

    :param data_context: what to export, such as ``DataContext.ACCESS_INVENTORY_IDENTITIES``. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)
    :param filter_by: filters, combined with AND: built with ``Filter``, or the API's own dicts. (templated)
    :param sort_by: sort orders: built with ``Sort``, or the API's own dicts. (templated)
    :param destination: where the file is to stand: anything ``ObjectStoragePath`` takes. Its suffix decides the
        format: ``.csv`` and any other as it came, ``.csv.gz``, ``.csv.zst``, ``.parquet``. Without a destination,
        the task ends when the export is complete. (templated)
    :param wait_for_completion: with ``False`` the task ends when the export is started; a try that finds one already
        started returns that one, with its present status.
    :param deferrable: wait in the triggerer, holding no worker slot.
    :param poll_interval: shortest pause between two questions, in seconds.
    :param max_poll_interval: longest pause, in seconds.
    :param timeout: how long the export may take from its creation on, in seconds: across deferral, retries and
        restarts. A try that comes later asks once: it saves the export if that is complete, and fails if not.
    :param durable: remember the download id in Airflow's task state store (Airflow 3.3 and newer; elsewhere every
        try starts a new export). A remembered export that failed, is gone, or was asked for with other arguments or
        credentials is not gone on with.
    :param resume_window: how old a remembered export may be, in seconds; an older one is replaced by a new one.
        Set to ``timeout``, a retry after a timeout starts a new export.
    :param min_rows: gate: rows the export must have at least, the header not counted.
    :param required_columns: gate: columns it must have, among others, in any order.
    :param exact_columns: gate: its exact header.
    :param column_types: for a ``.parquet`` destination: column → type, for columns that shall not be strings.
    :param compression: of a ``.parquet``: ``zstd``, ``snappy``, ``gzip``, ``brotli``, ``lz4`` or ``none``.
    :param row_group_size: rows of a row group of a ``.parquet``.
    :param max_concurrency: how many parts of a large file may be in flight at once; 1 fetches it in one stream.
    :param part_size: bytes of each part. ``max_concurrency`` times ``part_size`` is what a transfer holds in memory.
    """

    template_fields: Sequence[str] = ("data_context", "oleria_conn_id", "filter_by", "sort_by", "destination")
    template_fields_renderers = {"filter_by": "json", "sort_by": "json"}  # noqa: RUF012  # as Airflow declares it

    def __init__(
        self,
        *,
        data_context: str,
        filter_by: Sequence[Mapping[str, Any]] | None = None,
        sort_by: Sequence[Mapping[str, Any]] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        timeout: float = 3600,
        durable: bool = True,
        resume_window: float = 24 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_context = data_context
        self.filter_by = filter_by
        self.sort_by = sort_by
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.durable = durable
        self.resume_window = resume_window
        self._known: Download | None = None
        if self.destination is not None and not wait_for_completion:
            raise ValueError("destination needs wait_for_completion: only a completed export can be saved")
        if not is_unrendered(data_context):
            DataContext.warn_if_unknown(data_context)
        checked_filters(filter_by)
        checked_sorts(sort_by)
        PollSchedule(poll_interval, max_poll_interval)  # which checks them
        check_seconds("timeout", timeout)

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the export, or go on with it; wait for it here or in the triggerer; save it."""
        with self._working():
            if self.destination is not None:
                self.hook.check_destination(self.destination, self.save_options)
            export = self._export(self._memory(context))
            self._known = export.request
            if not self.wait_for_completion:
                return self._delivered(
                    context, self._result(export.request.download_id, export.request.status)
                )
            with self._memory(context).while_useful():
                if export.request.status is not DownloadStatus.COMPLETED:
                    self._wait(export)
                return self._finish(context, export.request.download_id, export.created_at)

    def execute_complete(
        self, context: Context, event: Any, created_at: float | None = None
    ) -> dict[str, Any]:
        """Resume after the deferral: check what the trigger reports, and save from a fresh URL.

        :param event: the trigger's event.
        :param created_at: when the export was started, in epoch seconds.
        """
        from airflow_provider_oleria.triggers.oleria import completed_download

        with self._working(), self._memory(context).while_useful():
            return self._finish(context, completed_download(event), created_at)

    def on_kill(self) -> None:
        """Log what is known, and end the work."""
        if self._known is not None:
            self.log.warning("%s.", abandoned_message(self._known.download_id, self._known.status))
        super().on_kill()

    def _memory(self, context: Context) -> ResumeRecord:
        from airflow_provider_oleria.tasks.durable import ResumeRecord

        return ResumeRecord(context.get("task_state_store") if self.durable else None)

    def _export(self, memory: ResumeRecord) -> StartedExport:
        from airflow_provider_oleria.api.protocol import build_download_body
        from airflow_provider_oleria.observability import metrics
        from airflow_provider_oleria.tasks.durable import fingerprint

        what = self.data_context, self.filter_by, self.sort_by
        mark = fingerprint(self.hook.account, build_download_body(*what))
        found = memory.recall(mark, self.resume_window, self.hook.get_download)
        if found:
            metrics.count(metrics.RESUMED, oleria_conn_id=self.oleria_conn_id)
            return found
        return memory.keep(self.hook.create_download(*what), mark)

    def _wait(self, export: StartedExport) -> None:
        download_id, deadline = export.request.download_id, export.created_at + self.timeout
        limits: dict[str, Any] = {
            "poll_interval": self.poll_interval,
            "max_poll_interval": self.max_poll_interval,
            "deadline": deadline,
            "started_at": export.created_at,
        }
        # Past the deadline one question is all there is to ask, which is no reason to defer.
        if self.deferrable and time.time() < deadline:
            from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

            self.defer(
                trigger=OleriaDownloadTrigger(download_id, self.oleria_conn_id, **limits),
                method_name="execute_complete",
                kwargs={"created_at": export.created_at},
                timeout=trigger_timeout(deadline),
            )
        self.hook.wait_for_download(download_id, **limits)

    def _finish(self, context: Context, download_id: str, created_at: float | None) -> dict[str, Any]:
        self._known = Download(download_id, DownloadStatus.COMPLETED)
        self.log.info(
            "The export of %s%s is complete%s.",
            self.data_context,
            in_words(self.filter_by, self.sort_by),
            f", {time.time() - created_at:.0f} s after its start" if created_at else "",
        )
        if self.destination is None:
            return self._delivered(context, self._result(download_id, DownloadStatus.COMPLETED))
        return self._delivered(context, self._save(context, download_id))

    def _delivered(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        self._memory(context).forget()
        return result

    def _result(self, download_id: str, status: str) -> dict[str, Any]:
        return {"download_id": download_id, "data_context": str(self.data_context), "status": str(status)}


class OleriaSaveDownloadOperator(_SavingOperator):
    """Saves a completed export: the last step of :class:`OleriaDownloadOperator` alone.

    Returns the same dict without ``data_context``, since the API does not tell it.

    :param download_id: the completed export, such as ``create.output["download_id"]``. (templated)
    :param destination: where the CSV is to stand: anything ``ObjectStoragePath`` takes. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)

    ``min_rows``, ``required_columns``, ``exact_columns``, ``column_types``, ``compression``, ``row_group_size``,
    ``max_concurrency`` and ``part_size`` as there.
    """

    template_fields: Sequence[str] = ("download_id", "destination", "oleria_conn_id")

    def __init__(self, *, download_id: str, destination: str | ObjectStoragePath, **kwargs: Any) -> None:
        super().__init__(destination=destination, **kwargs)
        self.download_id = download_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Save it."""
        with self._working():
            return self._save(context, self.download_id)
