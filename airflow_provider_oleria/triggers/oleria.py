"""Waits for an export in the triggerer; what it reports is written and read here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_oleria import exceptions
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.tasks.deferral import abandoned_message


class OleriaDownloadTrigger(BaseTrigger):
    """Fires one event when an export has ended, or cannot be waited for any longer.

    Neither its row nor its event holds more than the download id: a presigned URL and a token are credentials.

    :param download_id: the export to wait for.
    :param oleria_conn_id: the Airflow Connection.
    :param poll_interval: shortest pause between two questions, in seconds.
    :param max_poll_interval: longest pause, in seconds.
    :param deadline: when to give up, in epoch seconds; ``None`` for never.
    :param started_at: when the export was started, in epoch seconds, so that a triggerer that is restarted asks no
        oftener than the one before; ``None``, as in the row of an earlier version, for now.
    """

    def __init__(
        self,
        download_id: str,
        oleria_conn_id: str = OleriaHook.default_conn_name,
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        deadline: float | None = None,
        started_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.download_id = download_id
        self.oleria_conn_id = oleria_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.deadline = deadline
        self.started_at = started_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger's row: its class path and arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "download_id": self.download_id,
                "oleria_conn_id": self.oleria_conn_id,
                "poll_interval": self.poll_interval,
                "max_poll_interval": self.max_poll_interval,
                "deadline": self.deadline,
                "started_at": self.started_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire the one event that :func:`completed_download` reads."""
        event = {"download_id": self.download_id, "status": "completed"}
        try:
            await OleriaHook(self.oleria_conn_id).await_download(
                self.download_id,
                poll_interval=self.poll_interval,
                max_poll_interval=self.max_poll_interval,
                deadline=self.deadline,
                started_at=self.started_at,
            )
        except exceptions.OleriaError as problem:
            event |= {"status": "error", "error": type(problem).__name__, "message": str(problem)}
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Log what is known. Airflow 3.3 and newer calls this when somebody acts on the deferred task.

        A mere cancellation means nothing: every triggerer that is restarted cancels its triggers.
        """
        self.log.warning("%s.", abandoned_message(self.download_id, DownloadStatus.ACCEPTED))


def completed_download(event: object) -> str:
    """The id of the download the trigger saw completed; whatever else it met is raised.

    :param event: the event as the resumed task gets it.
    :return: the download id.
    :raises OleriaError: the error the trigger met, or what is wrong with the event.
    """
    match event:
        case {"status": "completed", "download_id": str(download_id)}:
            return download_id
        case {"status": "error", "error": str(name), "message": str(message)}:
            kind = getattr(exceptions, name, exceptions.OleriaProtocolError)
            raise kind(message)
        case _:
            raise exceptions.OleriaProtocolError(
                f"the task was resumed, but not by an event that says that its export is completed: {event!r}"
            )
