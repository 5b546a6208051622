"""Resuming a download: its id is stored, so that the next try of a task does not start another one.

Not Airflow 3.3's ``ResumableJobMixin``: that serves the synchronous path only, does not compare the request with
what was started, knows no age, and gives a cleared task its old result.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from airflow_provider_oleria.api.responses import is_download_id
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaDownloadGoneError,
    OleriaForbiddenError,
    OleriaFormatError,
    OleriaNotFoundError,
)
from airflow_provider_oleria.observability.best_effort import best_effort

log = logging.getLogger(__name__)

KEY: Final = "oleria_download"

_LATEST: Final = 2**40
"""Epoch seconds. A later time, infinity and NaN are none that this module has stored."""


class Store(Protocol):
    """Airflow's ``context["task_state_store"]``: one for each DAG, run, task and map index, for all tries."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...

    def delete(self, key: str) -> None: ...


class StartedDownload(NamedTuple):
    """A download that this task has started.

    :param download: as the API last described it.
    :param created_at: when the API accepted it, in epoch seconds.
    """

    download: Download
    created_at: float


def fingerprint(*parts: Any) -> str:
    """A hash of values that can be written as JSON: equal for equal values, and none of them can be read from it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class ResumeRecord:
    """The record of the download that a task has started.

    :param store: where it is kept; ``None`` before Airflow 3.3, or if it is not wanted: then nothing is stored.
    :param request: fingerprint of the request, and of the tenant and the Connection it is sent to.
    :param saving: fingerprint of the destination and the options to save with.
    """

    def __init__(
        self, store: Store | None, request: str, saving: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._request = request
        self._saving = saving
        self._clock = clock

    def save(self, download: Download) -> StartedDownload:
        """Store a download that has just been started."""
        created_at = self._clock()
        if self._store is not None:
            record = {
                "download_id": download.download_id,
                "fingerprint": self._request,
                "created_at": created_at,
            }
            try:
                self._store.set(KEY, record)
            except Exception:
                # To fail here would certainly start a second download; to continue does so only if this try fails.
                log.warning(
                    "Airflow did not store download id %s: another try would start another download.",
                    download.download_id,
                    exc_info=True,
                )
        return StartedDownload(download, created_at)

    def load(self, window: float, get: Callable[[str], Download]) -> StartedDownload | None:
        """The download that an earlier try has started, if it can be resumed.

        :param window: its maximum age, in seconds.
        :param get: requests a download from the API.
        """
        record: Any = self._store.get(KEY) if self._store is not None else None
        match record:
            case {
                "download_id": str(download_id),
                "fingerprint": request,
                "created_at": int() | float() as created_at,
            } if is_download_id(download_id) and 0 <= created_at < _LATEST:
                age = self._clock() - created_at
            case _:
                return None
        try:
            if request != self._request:
                raise _UnusableError("it was started with other arguments, or for another Connection")
            if record.get("refused") == self._saving:
                raise _UnusableError(
                    "its file was refused, and neither the checks nor the format have changed"
                )
            if age >= window:
                raise _UnusableError(f"it was started {age:.0f} s ago, resume_window is {window:.0f} s")
            download = _usable(download_id, get)
        except _UnusableError as reason:
            log.info(
                "Starting a new download instead of resuming %s of an earlier try: %s.", download_id, reason
            )
            return None
        log.info(
            "Resuming download %s, started %.0f s ago by an earlier try: %s.",
            download_id,
            age,
            download.status,
        )
        return StartedDownload(download, created_at)

    def delete(self) -> None:
        """Delete the record, once the download is delivered: a task that is cleared then starts a new one."""
        if self._store is not None:
            self._store.delete(KEY)

    @contextmanager
    def kept_up_to_date(self) -> Iterator[None]:
        """Wait for the download and save it in this block: the record receives what the next try must know.

        :raises OleriaDownloadGoneError: Oleria does not know the download.
        """
        try:
            yield
        except OleriaNotFoundError as problem:
            raise OleriaDownloadGoneError(
                f"{problem}. The task has started this download: another try starts a new one, unless it is found again"
            ) from problem
        except (OleriaCheckError, OleriaFormatError):
            self._refuse()
            raise

    def _refuse(self) -> None:
        """Note that the file was refused: the same options would refuse it again."""
        if self._store is None:
            return
        with best_effort("Noting that the file was refused"):
            self._store.set(KEY, {**self._store.get(KEY), "refused": self._saving})
            log.info(
                "When the task is cleared, it saves the same download if its checks or types have changed, "
                "and otherwise starts a new one."
            )


class _UnusableError(Exception):
    """Why a download cannot be resumed."""


def _usable(download_id: str, get: Callable[[str], Download]) -> Download:
    try:
        download = get(download_id)
    except OleriaNotFoundError:
        raise _UnusableError("Oleria does not know it any more (404)") from None
    except OleriaForbiddenError:
        raise _UnusableError("this credential may not see it (403)") from None
    if download.status is DownloadStatus.FAILED:
        raise _UnusableError(f"it failed ({download.error or 'no reason given'})")
    return download
