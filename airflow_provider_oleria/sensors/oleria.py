"""Waits for an export that another task started.

What only a run needs is imported where it is used: DAG files import this module.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    conf,
)
from airflow_provider_oleria.connection.settings import DEFAULT_CONN_ID
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import OleriaTimeoutError
from airflow_provider_oleria.tasks.deferral import fail_without_retries, trigger_timeout

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oleria.hooks.oleria import OleriaHook


class OleriaDownloadSensor(BaseSensorOperator):
    """Waits until an export is completed: in poke, reschedule and deferrable mode.

    ``soft_fail`` skips on timeout only: a failed export, or credentials that are refused, fail the sensor in every
    mode, without using up its retries.

    :param download_id: the export to wait for, such as ``create.output["download_id"]``. (templated)
    :param oleria_conn_id: the Airflow Connection. (templated)
    :param deferrable: wait in the triggerer, holding no worker slot. The pause is ``poke_interval``, or, with
        ``exponential_backoff``, grows up to ``max_wait``.
    """

    template_fields: Sequence[str] = ("download_id", "oleria_conn_id")
    ui_color = "#e6ecff"

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
        self.deferrable = deferrable
        self._last_status = "unknown"

    def execute(self, context: Context) -> Any:
        """Wait here, or ask once and hand over to the triggerer."""
        with fail_without_retries():
            if not self.deferrable:
                return self._wait_here(context)
            if not self.poke(context):
                self._defer()
            return None

    def poke(self, context: Context) -> bool:
        """Ask once.

        :return: whether the export is completed.
        :raises OleriaError: it failed, or cannot be asked for.
        """
        from airflow_provider_oleria.api.protocol import check_not_failed

        request = self.hook.get_download(self.download_id)
        check_not_failed(request)
        self._last_status = str(request.status)
        self.log.info("Download %s: %s.", self.download_id, request.status)
        return request.status is DownloadStatus.COMPLETED

    def execute_complete(self, context: Context, event: Any) -> None:
        """Resume after the deferral: check what the trigger reports.

        :param event: the trigger's event.
        """
        from airflow_provider_oleria.triggers.oleria import completed_download

        try:
            completed_download(event)
        except OleriaTimeoutError as problem:
            raise AirflowSensorTimeout(str(problem)) from problem

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; ``soft_fail`` turns a timeout into a skip, and nothing else.

        Airflow's own method would skip for whatever went wrong while deferred.
        """
        from airflow_provider_oleria.compat import trigger_timed_out

        try:
            if trigger_timed_out(next_method, next_kwargs):
                raise AirflowSensorTimeout(
                    f"download {self.download_id}: the triggerer did not get to wait for it in time"
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
            # Airflow's text says neither what was waited for nor how it stood.
            raise type(problem)(
                f"download {self.download_id}, last status {self._last_status}: {problem}"
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
        """The hook, made when the task runs."""
        from airflow_provider_oleria.hooks.oleria import OleriaHook

        return OleriaHook(self.oleria_conn_id)
