"""Waits for a download that another task has started.

DAG files import this module, so what only a run needs is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.arguments import check_text, switch
from airflow_provider_oleria.compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    conf,
)
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import OleriaTimeoutError
from airflow_provider_oleria.tasks.deferral import checks_arguments, fail_without_retries, trigger_timeout

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.hooks.oleria import OleriaHook


class OleriaDownloadSensor(BaseSensorOperator):
    """Waits until a download is completed: in poke, reschedule or deferrable mode.

    ``soft_fail`` skips on a timeout only. A failed download or refused credentials fail the sensor in every mode,
    without using up its retries.

    :param download_id: the download to wait for, such as ``create.output["download_id"]``. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)
    :param deferrable: wait in the triggerer, without a worker slot. The pause is ``poke_interval``; with
        ``exponential_backoff`` it grows up to ``max_wait``.
    """

    template_fields: Sequence[str] = ("download_id", "oleria_conn_id")
    ui_color = "#e6ecff"

    @checks_arguments
    def __init__(
        self,
        *,
        download_id: str,
        oleria_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.download_id = download_id
        self.oleria_conn_id = oleria_conn_id
        self.deferrable = switch("deferrable", deferrable)
        self._last_status = "unknown"
        check_text("download_id", download_id)
        check_text("oleria_conn_id", oleria_conn_id)

    def execute(self, context: Context) -> Any:
        """Wait here, or poll once and defer."""
        with fail_without_retries():
            if not self.deferrable:
                return self._wait_here(context)
            if not self.poke(context):
                self._defer()
            return None

    def poke(self, context: Context) -> bool:
        """Poll once.

        :return: whether the download is completed.
        :raises OleriaError: it failed, or the API did not answer.
        """
        from airflow_provider_oleria.api.protocol import check_not_failed

        download = self.hook.get_download(self.download_id)
        check_not_failed(download)
        self._last_status = str(download.status)
        self.log.info("Download %s: %s.", self.download_id, download.status)
        return download.status is DownloadStatus.COMPLETED

    def execute_complete(self, context: Context, event: Any) -> None:
        """Resume after the deferral.

        :param event: the trigger's event.
        """
        from airflow_provider_oleria.triggers.oleria import completed_download

        try:
            completed_download(event)
        except OleriaTimeoutError as problem:
            raise AirflowSensorTimeout(str(problem)) from problem

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after the deferral. ``soft_fail`` skips on a timeout only; Airflow's own method skips on any error."""
        from airflow_provider_oleria.compat import trigger_timed_out

        try:
            if trigger_timed_out(next_method, next_kwargs):
                raise AirflowSensorTimeout(
                    f"download {self.download_id}: the trigger was lost, and the time is up"
                )
            with fail_without_retries():
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as problem:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(problem)) from problem
            raise

    def _wait_here(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException) as problem:
            # Airflow's text names neither the download nor its status.
            raise type(problem)(
                f"download {self.download_id} (last status: {self._last_status}): {problem}"
            ) from problem

    def _defer(self) -> None:
        from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

        now = time.time()
        deadline = now + self.timeout
        longest = self.poke_interval
        if self.exponential_backoff:
            longest = self.max_wait.total_seconds() if self.max_wait else self.timeout
        self.defer(
            trigger=OleriaDownloadTrigger(
                download_id=self.download_id,
                oleria_conn_id=self.oleria_conn_id,
                poll_interval=self.poke_interval,
                max_poll_interval=longest,
                deadline=deadline,
                started_at=now,
            ),
            method_name="execute_complete",
            timeout=trigger_timeout(deadline),
        )

    @cached_property
    def hook(self) -> OleriaHook:
        """The hook."""
        from airflow_provider_oleria.hooks.oleria import OleriaHook

        return OleriaHook(self.oleria_conn_id)
