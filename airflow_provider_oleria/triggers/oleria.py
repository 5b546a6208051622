"""Waits for a download in the triggerer, and reads the event there is at the end."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_oleria import exceptions
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import OleriaError, OleriaProtocolError, OleriaTransientError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.net.redaction import quoted
from airflow_provider_oleria.tasks.deferral import stopped_message

_ERRORS: Final = {
    name: kind
    for name, kind in vars(exceptions).items()
    if isinstance(kind, type) and issubclass(kind, OleriaError)
}
"""The errors that an event may name."""


class OleriaDownloadTrigger(BaseTrigger):
    """Fires one event when a download has ended, or cannot be waited for any longer.

    Neither the trigger's row nor its event holds a token or a presigned URL.

    :param download_id: the download to wait for.
    :param oleria_conn_id: the Airflow Connection.
    :param poll_interval: shortest pause between two polls, in seconds.
    :param max_poll_interval: longest pause, in seconds.
    :param deadline: when to give up, in epoch seconds; ``None`` for never.
    :param started_at: when the download was created, in epoch seconds: a triggerer that is restarted then polls no more
        often than the one before. ``None`` for now.
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
            await OleriaHook(self.oleria_conn_id)._await(
                self.download_id,
                self.poll_interval,
                self.max_poll_interval,
                self.deadline,
                self.started_at,
            )
        except OleriaError as problem:
            event |= {"status": "error", "error": type(problem).__name__, "message": str(problem)}
        except Exception as problem:
            # An exception would fail the task without a word about its download.
            text = quoted(f"{type(problem).__name__}: {problem}")
            frames = "".join(traceback.format_tb(problem.__traceback__))
            self.log.error("%s\n%s", text, frames)  # noqa: TRY400  # the exception's own text may hold credentials
            event |= {
                "status": "error",
                "error": OleriaTransientError.__name__,
                "message": f"waiting for download {self.download_id} failed in the triggerer: {text}",
            }
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Log the download's last status. Airflow 3.3 and newer calls this when a user ends the deferred task, or when
        Airflow's own timeout does.

        Cancellation does not mean that: each triggerer that is restarted cancels its triggers.
        """
        self.log.warning("%s.", stopped_message(self.download_id, DownloadStatus.ACCEPTED))


def completed_download(event: object) -> str:
    """Read a trigger's event.

    :param event: the event, as the resumed task receives it.
    :return: the id of the completed download.
    :raises OleriaError: the error that the trigger met, or what is wrong with the event.
    """
    match event:
        case {"status": "completed", "download_id": str(download_id)}:
            return download_id
        case {"status": "error", "error": str(name), "message": str(message)}:
            raise _ERRORS.get(name, OleriaProtocolError)(message)
        case _:
            raise OleriaProtocolError(
                f"the task was resumed by an event that does not report a completed download: {quoted(repr(event))}"
            )
