"""What a response of the API means: a download, or an error that names the reason."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.downloads import DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaError,
    OleriaForbiddenError,
    OleriaNotFoundError,
    OleriaProtocolError,
    OleriaRequestError,
)

from .flows import Script, answer


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        ({"message": "Forbidden"}, "answered 403: no code: Forbidden"),
        ({"code": "E42"}, "answered 403: E42: no message"),
        ({"detail": "Forbidden"}, """answered 403: '{"detail": "Forbidden"}'"""),
    ],
)
def test_whatever_the_api_gives_as_a_reason_is_named(body: Any, quoted: str) -> None:
    with pytest.raises(OleriaForbiddenError) as caught:
        Script(answer(403, body)).run(protocol.get("id-1"))

    assert quoted in str(caught.value)


@pytest.mark.parametrize(
    ("flow", "names"),
    [(protocol.create("risks"), "filter_by"), (protocol.get("id-1"), "Check download_id")],
    ids=["create", "get"],
)
def test_a_400_names_the_arguments_of_its_own_request(flow: Any, names: str) -> None:
    with pytest.raises(OleriaRequestError, match=names):
        Script(answer(400)).run(flow)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, OleriaRequestError, "400"),
        (403, OleriaForbiddenError, "not scoped"),
        (404, OleriaNotFoundError, "credential may not see it"),
        (409, OleriaRequestError, "409"),
        (302, OleriaRequestError, "redirect is not followed"),
        (407, OleriaConfigurationError, "Not Oleria, but a proxy in between answers this"),
        (511, OleriaConfigurationError, "Not Oleria, but the network in between answers this"),
    ],
)
def test_what_no_retry_fixes_is_raised_at_once(status: int, kind: type[OleriaError], message: str) -> None:
    script = Script(answer(status, {"code": "the_code", "message": "the message"}))
    with pytest.raises(kind, match=message) as caught:
        script.run(protocol.get("id-1"))

    assert "the_code: the message" in str(caught.value)
    assert script.sent == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "no JSON object: '<html>'"),
        (b"[1]", "no JSON object"),
        ({"status": "accepted"}, "no id"),
        ({"id": "id-1", "status": "completed"}, "returned no url"),
        ({"id": "id-2", "status": "accepted"}, "returned id-2"),
        ({"id": "id 1\n", "status": "accepted"}, "no id"),
        ({"id": "\ud800", "status": "accepted"}, "no id"),
        ({"id": "x" * 201, "status": "accepted"}, "no id"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"id":' * 100_000, "no JSON object"),
        (b'{"id": "id-1", "size": ' + b"9" * 5000 + b"}", "no JSON object"),
    ],
)
def test_an_answer_outside_the_contract_shows_what_came(body: Any, message: str) -> None:
    with pytest.raises(OleriaProtocolError, match=message):
        Script(answer(200, body)).run(protocol.get("id-1"))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "queued"}, "queued"),
        ({"status": "COMPLETED"}, "COMPLETED"),
        ({"status": "a\nb\x1b[31m"}, r"a\nb\x1b[31m"),
        ({}, DownloadStatus.ACCEPTED),
        ({"status": None}, DownloadStatus.ACCEPTED),
        ({"status": 7}, DownloadStatus.ACCEPTED),
        ({"status": ""}, DownloadStatus.ACCEPTED),
        ({"url": "https://s3.example/x"}, DownloadStatus.COMPLETED),
        ({"url": "https://s3.example/x", "error": {"code": "string"}}, DownloadStatus.COMPLETED),
        ({"error": {"code": "E42", "message": "too wide"}}, DownloadStatus.FAILED),
    ],
)
@pytest.mark.parametrize("flow", [protocol.create, protocol.get])
def test_an_id_is_kept_whatever_the_status(flow: Any, fields: dict[str, Any], status: str) -> None:
    download = Script(answer(200, {"id": "id-1", **fields})).run(flow("id-1"))

    assert (download.download_id, download.status) == ("id-1", status)
    assert isinstance(download.status, DownloadStatus) is isinstance(status, DownloadStatus)
