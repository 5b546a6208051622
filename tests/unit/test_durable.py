"""When a try resumes a download, and when it starts a new one."""

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
    OleriaUnavailableError,
)
from airflow_provider_oleria.filters import Filter, Sort
from airflow_provider_oleria.tasks.durable import KEY, ResumeRecord, fingerprint

WINDOW = 3600.0
ACCEPTED = Download("id-1", DownloadStatus.ACCEPTED)


class Store(dict[str, str]):
    """Like Airflow's: values are stored as JSON."""

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
def record(store: Store, clock: Clock) -> ResumeRecord:
    return ResumeRecord(store, "request", "saving", clock)


def answers(status: DownloadStatus, error: str | None = None) -> Any:
    return lambda download_id: Download(download_id, status, error)


def raises(problem: Exception) -> Any:
    def get(download_id: str) -> Download:
        raise problem

    return get


never = raises(AssertionError("no request was expected"))


@pytest.mark.parametrize("status", [DownloadStatus.ACCEPTED, DownloadStatus.COMPLETED])
def test_a_download_that_exists_is_resumed(
    record: ResumeRecord, clock: Clock, status: DownloadStatus
) -> None:
    started = record.save(ACCEPTED)
    clock.now += 60
    found = record.load(WINDOW, answers(status))

    assert found is not None
    assert found.download == Download("id-1", status)
    assert found.created_at == started.created_at == clock.now - 60


@pytest.mark.parametrize(
    ("request_now", "age", "get", "reason"),
    [
        ("request", 1, answers(DownloadStatus.FAILED, "E42: too wide"), "it failed (E42: too wide)"),
        ("request", 1, raises(OleriaNotFoundError("404")), "Oleria does not know it any more (404)"),
        ("request", 1, raises(OleriaForbiddenError("403")), "this credential may not see it (403)"),
        ("other", 1, never, "it was started with other arguments, or for another Connection"),
        ("request", WINDOW, never, "it was started 3600 s ago, resume_window is 3600 s"),
    ],
    ids=["failed", "gone", "forbidden", "another request", "too old"],
)
def test_an_unusable_download_is_replaced_and_the_log_names_the_reason(
    store: Store,
    record: ResumeRecord,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    *,
    request_now: str,
    age: float,
    get: Any,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    record.save(ACCEPTED)
    clock.now += age

    assert ResumeRecord(store, request_now, "saving", clock).load(WINDOW, get) is None
    assert f"Starting a new download instead of resuming id-1 of an earlier try: {reason}." in caplog.text


def test_an_outage_starts_nothing(record: ResumeRecord) -> None:
    record.save(ACCEPTED)
    with pytest.raises(OleriaUnavailableError):
        record.load(WINDOW, raises(OleriaUnavailableError("503")))


def test_the_record_of_a_delivered_download_is_deleted(store: Store, record: ResumeRecord) -> None:
    record.save(ACCEPTED)
    record.delete()

    assert not store
    assert record.load(WINDOW, never) is None


@pytest.mark.parametrize("problem", [OleriaCheckError("min_rows"), OleriaFormatError("no header")])
def test_a_refused_file_is_saved_again_only_with_other_checks_or_types(
    store: Store, record: ResumeRecord, clock: Clock, problem: Exception
) -> None:
    record.save(ACCEPTED)
    with pytest.raises(type(problem)), record.kept_up_to_date():
        raise problem

    assert record.load(WINDOW, never) is None, "the same options would refuse it again"
    corrected = ResumeRecord(store, "request", "corrected", clock)
    assert corrected.load(WINDOW, answers(DownloadStatus.COMPLETED)) is not None


def test_a_new_download_is_not_refused_for_the_one_before(record: ResumeRecord) -> None:
    record.save(ACCEPTED)
    with pytest.raises(OleriaCheckError), record.kept_up_to_date():
        raise OleriaCheckError("min_rows")
    record.save(Download("id-2", DownloadStatus.ACCEPTED))

    found = record.load(WINDOW, answers(DownloadStatus.COMPLETED))
    assert found is not None
    assert found.download.download_id == "id-2"


def test_a_download_that_could_not_be_saved_is_resumed(record: ResumeRecord) -> None:
    record.save(ACCEPTED)
    with pytest.raises(OleriaRetriesExhaustedError), record.kept_up_to_date():
        raise OleriaRetriesExhaustedError("the store does not respond")

    assert record.load(WINDOW, answers(DownloadStatus.COMPLETED)) is not None


def test_a_download_that_is_gone_is_worth_another_try(record: ResumeRecord) -> None:
    with (
        pytest.raises(OleriaDownloadGoneError, match="404.*another try starts a new one"),
        record.kept_up_to_date(),
    ):
        raise OleriaNotFoundError("404")


@pytest.mark.parametrize("junk", ["id-1", 7, {}, {"download_id": "id-1"}])
def test_a_record_of_another_form_is_ignored(store: Store, record: ResumeRecord, junk: Any) -> None:
    store.set(KEY, junk)
    assert record.load(WINDOW, never) is None


def test_without_a_store_nothing_is_stored() -> None:
    record = ResumeRecord(None, "request", "saving")
    record.save(ACCEPTED)
    assert record.load(WINDOW, never) is None
    with pytest.raises(OleriaCheckError), record.kept_up_to_date():
        raise OleriaCheckError("min_rows")
    record.delete()


def test_a_store_that_fails_does_not_fail_the_task(
    store: Store, record: ResumeRecord, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(key: str, value: Any) -> None:
        raise RuntimeError("the API server does not respond")

    record.save(ACCEPTED)
    monkeypatch.setattr(store, "set", fail)
    assert record.save(ACCEPTED).download == ACCEPTED
    assert "did not store download id id-1" in caplog.text
    with pytest.raises(OleriaCheckError), record.kept_up_to_date():
        raise OleriaCheckError("min_rows")


TENANT = "https://a.example", "oleria_default"
BODY = build_download_body("risks", [Filter.string("department").eq("Engineering")], [Sort.asc("createdAt")])


@pytest.mark.parametrize(
    ("tenant", "body"),
    [
        (("https://b.example", "oleria_default"), BODY),
        (("https://a.example", "other"), BODY),
        (TENANT, {**BODY, "context": "risksV2"}),
        (
            TENANT,
            build_download_body("risks", [Filter.string("department").eq("Sales")], [Sort.asc("createdAt")]),
        ),
        (TENANT, build_download_body("risks", [Filter.string("department").eq("Engineering")])),
    ],
    ids=["API URL", "connection id", "data context", "filters", "sort order"],
)
def test_the_fingerprint_differs(tenant: tuple[str, str], body: dict[str, Any]) -> None:
    assert fingerprint(*tenant, body) != fingerprint(*TENANT, BODY)


def test_the_fingerprint_of_a_request_does_not_depend_on_its_spelling() -> None:
    dicts = [
        {"values": ["Engineering"], "filterType": "eq", "field": "department", "dataType": "string"},
    ]
    body = build_download_body("risks", dicts, [{"sortType": "asc", "field": "createdAt"}])
    assert fingerprint(*TENANT, body) == fingerprint(*TENANT, BODY)


def test_the_record_holds_no_argument_in_the_clear(store: Store) -> None:
    ResumeRecord(store, fingerprint(*TENANT, BODY), fingerprint("file:///x.csv", {})).save(ACCEPTED)
    assert store.get(KEY).keys() == {"download_id", "fingerprint", "created_at"}
    assert not any(word in store[KEY] for word in ("Engineering", "oleria_default", "a.example", "x.csv"))
