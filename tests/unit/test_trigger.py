"""The trigger fires one event, whatever it meets; the event names an error of this package only."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pytest

from airflow_provider_oleria.exceptions import (
    OleriaDownloadFailedError,
    OleriaProtocolError,
    OleriaTransientError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger, completed_download


def fired(trigger: OleriaDownloadTrigger) -> Any:
    async def main() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(main())
    return payload


def fails_with(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> OleriaDownloadTrigger:
    async def fail(self: OleriaHook, *args: object) -> None:
        raise problem

    monkeypatch.setattr(OleriaHook, "_await", fail)
    trigger = OleriaDownloadTrigger("id-1")
    trigger._log = logging.getLogger("trigger")  # Airflow 3's own goes past pytest
    return trigger


@pytest.mark.parametrize(
    "problem",
    [
        ssl.SSLCertVerificationError("no verify_message"),
        AttributeError("verify_message"),
        PermissionError(13, "Permission denied", "/etc/ca.pem"),
        RuntimeError("x" * 10**6),
    ],
)
def test_an_unexpected_error_becomes_one_event(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    event = fired(fails_with(monkeypatch, problem))

    with pytest.raises(OleriaTransientError, match=f"download id-1 .*: {type(problem).__name__}: ") as caught:
        completed_download(event)
    assert len(str(caught.value)) < 1200


def test_an_unexpected_error_shows_no_credential_and_no_control_character(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problem = ValueError(
        "GET https://s3.example/x?X-Amz-Signature=f00ba4 with Bearer abcdef123456\n\x1b[2JERROR"
    )
    event = fired(fails_with(monkeypatch, problem))

    assert "ValueError" in caplog.text
    assert event["message"].isprintable()
    for secret in ("f00ba4", "abcdef123456", "\x1b", "\nFORGED"):
        assert secret not in repr(event) + caplog.text


def test_a_cancellation_is_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(asyncio.CancelledError):
        fired(fails_with(monkeypatch, asyncio.CancelledError()))


def test_an_error_of_ours_keeps_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    event = fired(fails_with(monkeypatch, OleriaDownloadFailedError("E42")))

    with pytest.raises(OleriaDownloadFailedError, match="^E42$"):
        completed_download(event)


@pytest.mark.parametrize(
    "name", ["annotations", "__builtins__", "SystemExit", "OleriaNoError", "KeyboardInterrupt"]
)
def test_an_event_cannot_name_anything_else(name: str) -> None:
    with pytest.raises(OleriaProtocolError, match="^text$"):
        completed_download({"status": "error", "error": name, "message": "text"})
