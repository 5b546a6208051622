"""When a try goes on with an export, and when it starts a new one."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_oleria.api.protocol import build_download_body
from airflow_provider_oleria.downloads import Download, DownloadStatus
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaDownloadGoneError,
    OleriaForbiddenError,
    OleriaFormatError,
    OleriaNotFoundError,
    OleriaRetriesExhaustedError,
)
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.tasks.durable import KEY, ResumeRecord, fingerprint

WINDOW = 3600.0
ACCEPTED = Download("id-1", DownloadStatus.ACCEPTED)


class Store(dict[str, str]):
    """As Airflow's: what goes in comes out of JSON."""

    def get(self, key: str) -> Any:  # type: ignore[override]  # Airflow's has another default
        return json.loads(self[key]) if key in self else None

    def set(self, key: str, value: Any) -> None:
        self[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Clock:
    now = 1_779_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def memory(store: Store, clock: Clock) -> ResumeRecord:
    return ResumeRecord(store, clock)


def says(status: DownloadStatus, error: str | None = None) -> Any:
    return lambda download_id: Download(download_id, status, error)


def gone(download_id: str) -> Download:
    raise OleriaNotFoundError("404")


def never(download_id: str) -> Download:
    raise AssertionError("there was nothing to ask")


@pytest.mark.parametrize("status", [DownloadStatus.ACCEPTED, DownloadStatus.COMPLETED])
def test_an_export_that_lives_is_gone_on_with(
    memory: ResumeRecord, clock: Clock, status: DownloadStatus
) -> None:
    kept = memory.keep(ACCEPTED, "mark")
    clock.now += 60
    found = memory.recall("mark", WINDOW, says(status))

    assert found is not None
    assert found.request == Download("id-1", status)
    assert found.created_at == kept.created_at == clock.now - 60


@pytest.mark.parametrize(
    ("mark", "age", "ask", "why"),
    [
        ("mark", 1, says(DownloadStatus.FAILED, "E42: too wide"), "it failed (E42: too wide)"),
        ("mark", 1, gone, "Oleria does not know it any more (404)"),
        ("other", 1, never, "it is not the export this task asks for now"),
        ("mark", WINDOW, never, "it was started 3600 s ago, resume_window is 3600 s"),
    ],
    ids=["failed", "gone", "another request", "too old"],
)
def test_an_export_that_is_of_no_use_is_replaced_and_the_log_says_why(
    memory: ResumeRecord,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    *,
    mark: str,
    age: float,
    ask: Any,
    why: str,
) -> None:
    caplog.set_level(logging.INFO)
    memory.keep(ACCEPTED, "mark")
    clock.now += age

    assert memory.recall(mark, WINDOW, ask) is None
    assert f"Starting a new export, not going on with download id-1 of an earlier try: {why}." in caplog.text


def test_an_answer_that_leaves_it_open_starts_nothing(memory: ResumeRecord) -> None:
    def forbidden(download_id: str) -> Download:
        raise OleriaForbiddenError("403")

    memory.keep(ACCEPTED, "mark")
    with pytest.raises(OleriaForbiddenError):
        memory.recall("mark", WINDOW, forbidden)


def test_what_is_delivered_is_forgotten(memory: ResumeRecord) -> None:
    memory.keep(ACCEPTED, "mark")
    memory.forget()

    assert memory.recall("mark", WINDOW, never) is None


@pytest.mark.parametrize("problem", [OleriaCheckError("min_rows"), OleriaFormatError("no header")])
def test_an_export_that_is_not_accepted_is_forgotten(memory: ResumeRecord, problem: Exception) -> None:
    memory.keep(ACCEPTED, "mark")
    with pytest.raises(type(problem)), memory.while_useful():
        raise problem

    assert memory.recall("mark", WINDOW, never) is None


def test_an_export_that_cannot_be_brought_home_now_is_remembered(memory: ResumeRecord) -> None:
    memory.keep(ACCEPTED, "mark")
    with pytest.raises(OleriaRetriesExhaustedError), memory.while_useful():
        raise OleriaRetriesExhaustedError("the store is out")

    assert memory.recall("mark", WINDOW, says(DownloadStatus.COMPLETED)) is not None


def test_an_export_that_is_gone_is_worth_another_try(memory: ResumeRecord) -> None:
    with (
        pytest.raises(OleriaDownloadGoneError, match="404.*another try starts a new one"),
        memory.while_useful(),
    ):
        raise OleriaNotFoundError("404")


@pytest.mark.parametrize("junk", ["id-1", 7, {}, {"download_id": "id-1"}])
def test_what_another_version_stored_is_no_export(store: Store, memory: ResumeRecord, junk: Any) -> None:
    store.set(KEY, junk)
    assert memory.recall("mark", WINDOW, never) is None


def test_without_a_store_nothing_is_remembered() -> None:
    memory = ResumeRecord(None)
    memory.keep(ACCEPTED, "mark")
    assert memory.recall("mark", WINDOW, never) is None
    memory.forget()


def test_an_export_that_cannot_be_remembered_is_not_lost_at_once(
    store: Store, memory: ResumeRecord, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(key: str, value: Any) -> None:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(store, "set", fail)
    assert memory.keep(ACCEPTED, "mark").request == ACCEPTED
    assert "did not store download id id-1" in caplog.text


ACCOUNT = ("https://a.example", "client")
BODY = build_download_body("risks", [Filter.string("department").eq("Engineering")], [Sort.asc("createdAt")])


@pytest.mark.parametrize(
    ("account", "body"),
    [
        (("https://b.example", "client"), BODY),
        (("https://a.example", "other"), BODY),
        (ACCOUNT, {**BODY, "context": "risksV2"}),
        (
            ACCOUNT,
            build_download_body("risks", [Filter.string("department").eq("Sales")], [Sort.asc("createdAt")]),
        ),
        (ACCOUNT, build_download_body("risks", [Filter.string("department").eq("Engineering")])),
    ],
    ids=["API URL", "client id", "data context", "filters", "sort order"],
)
def test_the_fingerprint_tells_apart(account: tuple[str, str], body: dict[str, Any]) -> None:
    assert fingerprint(account, body) != fingerprint(ACCOUNT, BODY)


def test_the_fingerprint_is_the_same_for_the_same_request_however_it_is_written() -> None:
    dicts = [
        {"values": ["Engineering"], "filterType": "eq", "field": "department", "dataType": "string"},
    ]
    body = build_download_body("risks", dicts, [{"sortType": "asc", "field": "createdAt"}])
    assert fingerprint(ACCOUNT, body) == fingerprint(ACCOUNT, BODY)


def test_the_stored_value_holds_no_argument_in_the_clear(store: Store, memory: ResumeRecord) -> None:
    memory.keep(ACCEPTED, fingerprint(ACCOUNT, BODY))
    assert store.get(KEY).keys() == {"download_id", "fingerprint", "created_at"}
    assert not any(word in store[KEY] for word in ("Engineering", "client", "a.example"))
