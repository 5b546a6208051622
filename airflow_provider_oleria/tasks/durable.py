"""What a task run remembers of its export from one try to the next, and when a try goes on with it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaDownloadGoneError,
    OleriaFormatError,
    OleriaNotFoundError,
)

log = logging.getLogger(__name__)

KEY: Final = "oleria_download"


class Store(Protocol):
    """Airflow's ``context["task_state_store"]``: kept per DAG, run, task and map index, from try to try."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...

    def delete(self, key: str) -> None: ...


class StartedExport(NamedTuple):
    """An export of this task run.

    :param request: the export as the API last described it.
    :param created_at: when the API accepted it, in epoch seconds.
    """

    request: Download
    created_at: float


def fingerprint(account: tuple[str, str], body: dict[str, Any]) -> str:
    """Tells exports apart that are not the same: a hash of whose export is asked for, and of what is asked for.

    :param account: API URL and client id.
    :param body: the request to start the export.
    """
    return hashlib.sha256(json.dumps([account, body], sort_keys=True).encode()).hexdigest()


class ResumeRecord:
    """The one export of a task run.

    :param store: where it is kept; ``None`` where there is no such thing (before Airflow 3.3), or it is not wanted:
        then nothing is remembered.
    """

    def __init__(self, store: Store | None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def keep(self, request: Download, fingerprint: str) -> StartedExport:
        """Remember an export that was started just now."""
        created_at = self._clock()
        if self._store is not None:
            try:
                self._store.set(
                    KEY,
                    {
                        "download_id": request.download_id,
                        "fingerprint": fingerprint,
                        "created_at": created_at,
                    },
                )
            except Exception:
                # To fail here would start a second export for certain; to go on does so only if this try fails.
                log.warning(
                    "Airflow did not store download id %s: another try would start another export.",
                    request.download_id,
                    exc_info=True,
                )
        return StartedExport(request, created_at)

    def recall(self, fingerprint: str, window: float, ask: Callable[[str], Download]) -> StartedExport | None:
        """The export an earlier try has started, if it is the one wanted now and still good for it.

        :param fingerprint: of what is wanted now.
        :param window: how old it may be, in seconds.
        :param ask: asks the API where an export stands.
        """
        match self._store and self._store.get(KEY):
            case {
                "download_id": str(known),
                "fingerprint": stored,
                "created_at": int() | float() as created_at,
            }:
                age = self._clock() - created_at
            case _:
                return None
        try:
            if stored != fingerprint:
                raise _Useless("it is not the export this task asks for now")
            if age >= window:
                raise _Useless(f"it was started {age:.0f} s ago, resume_window is {window:.0f} s")
            request = _alive(known, ask)
        except _Useless as why:
            log.info(
                "Starting a new export, not going on with download %s of an earlier try: %s.", known, why
            )
            return None
        log.info(
            "Going on with download %s, which an earlier try started %.0f s ago: %s.",
            *(known, age, request.status),
        )
        return StartedExport(request, created_at)

    @contextmanager
    def while_useful(self) -> Iterator[None]:
        """Wait for the export and save it herein: where nothing can be made of this one, the next try starts another.

        :raises OleriaDownloadGoneError: Oleria does not know it.
        """
        try:
            yield
        except OleriaNotFoundError as problem:
            raise OleriaDownloadGoneError(
                f"{problem}. The task had started this export: another try starts a new one, unless it is found again"
            ) from problem
        except (OleriaCheckError, OleriaFormatError):
            # It will never be anything else; to go on with it would be to fail for as long as it is remembered.
            log.info("This export is of no use to the task: cleared, it starts a new one.")
            self.forget()
            raise

    def forget(self) -> None:
        """The export is delivered: whoever clears the task wants a new one."""
        if self._store is not None:
            self._store.delete(KEY)


class _Useless(Exception):
    """Why an export cannot be gone on with."""


def _alive(download_id: str, ask: Callable[[str], Download]) -> Download:
    try:
        request = ask(download_id)
    except OleriaNotFoundError:
        raise _Useless("Oleria does not know it any more (404)") from None
    if request.status is DownloadStatus.FAILED:
        raise _Useless(f"it failed ({request.error or 'no reason given'})")
    return request
