"""What can be made to go wrong does, and as often as ordered."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from urllib3.exceptions import ReadTimeoutError

from airflow_provider_oleria.sandbox import Fault

from .client import Client


@pytest.fixture
def download_id(client: Client) -> str:
    download_id = client.create()
    client.sandbox.expected(download_id)
    client.sandbox.reset()
    return download_id


def _statuses(client: Client, download_id: str, times: int) -> list[int]:
    return [client.get(download_id).status_code for _ in range(times)]


def test_a_fault_strikes_from_the_nth_call_so_many_times(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", nth=2, times=2, status=500))
    assert _statuses(client, download_id, 5) == [200, 500, 500, 200, 200]
    assert [call.status for call in client.sandbox.calls] == [200, 500, 500, 200, 200]


def test_a_fault_counts_from_when_it_was_ordered_and_only_its_kind(client: Client, download_id: str) -> None:
    _statuses(client, download_id, 3)
    client.sandbox.fail(Fault("get", status=503))
    client.create()
    assert _statuses(client, download_id, 2) == [503, 200]


def test_a_fault_may_last_until_it_is_taken_back(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("any", times=None, status=502))
    assert _statuses(client, download_id, 3) == [502, 502, 502]
    client.sandbox.clear_faults()
    assert _statuses(client, download_id, 1) == [200]


def test_the_fault_ordered_first_wins(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", status=500))
    client.sandbox.fail(Fault("get", times=2, status=503))
    assert _statuses(client, download_id, 3) == [500, 503, 200]


def test_a_status_is_worded_as_its_endpoint_would(client: Client, download_id: str) -> None:
    url = client.url(download_id)
    client.sandbox.fail(Fault("any", times=None, status=503, headers={"Retry-After": "7"}))
    get, token, fetch = client.get(download_id), client.mint(), client.fetch(url)
    assert get.json()["code"] == "service_unavailable"
    assert token.json() == {"error": "service_unavailable"}
    assert "<Code>ServiceUnavailable</Code>" in fetch.text
    assert [answer.headers["Retry-After"] for answer in (get, token, fetch)] == ["7"] * 3


def test_an_unusual_status_is_sent_all_the_same(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", status=599))
    assert _statuses(client, download_id, 1) == [599]


def test_a_body_is_sent_as_it_is(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", body="{not json"))
    client.sandbox.fail(Fault("get", nth=2, status=502, body="<html>", content_type="text/html"))
    first, second = client.get(download_id), client.get(download_id)
    assert (first.status_code, first.text) == (200, "{not json")
    assert first.headers["Content-Type"].startswith("application/json")
    assert (second.status_code, second.text) == (502, "<html>")
    assert second.headers["Content-Type"].startswith("text/html")


def test_headers_alone_are_added_to_the_real_answer(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("any", times=2, headers={"X-Odd": "yes"}))
    answer = client.get(download_id)
    assert (answer.json()["status"], answer.headers["X-Odd"]) == ("completed", "yes")
    assert client.fetch(answer.json()["url"]).headers["X-Odd"] == "yes"


def test_the_real_answer_can_be_amended(client: Client) -> None:
    client.sandbox.fail(
        Fault("create", sent_as=202, fields={"status": "queued", "more": [1]}, headers={"Content-Type": None})
    )
    answer = client.post({"context": "identities"})
    assert (answer.status_code, answer.json()["status"], answer.json()["more"]) == (202, "queued", [1])
    assert client.sandbox.expected(answer.json()["id"]).row_count == 500
    client.sandbox.fail(Fault("token", fields={"expires_in": None}))
    assert client.mint().json().keys() == {"access_token", "token_type"}


def test_a_file_without_its_length_comes_whole(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("fetch", headers={"Content-Length": None}))
    answer = client.fetch(client.url(download_id))
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert answer.content == client.sandbox.expected(download_id).path.read_bytes()


def test_a_delayed_response_is_complete(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", delay=0.2))
    started = time.monotonic()
    assert _statuses(client, download_id, 1) == [200]
    assert time.monotonic() - started >= 0.2


def test_a_hang_ends_without_an_answer(client: Client, download_id: str) -> None:
    client.sandbox.fail(Fault("get", hang=0.1))
    with pytest.raises(requests.ConnectionError):
        client.get(download_id)
    assert [call.status for call in client.sandbox.calls] == [None]
    assert _statuses(client, download_id, 1) == [200]


def test_a_dropped_create_creates_all_the_same(client: Client) -> None:
    client.auth  # noqa: B018  # the token comes first
    client.sandbox.fail(Fault("create", drop=True))
    with pytest.raises(requests.ConnectionError):
        client.post({"context": "identities"})
    call = client.sandbox.calls[-1]
    assert call.status is None
    assert call.download_id is not None
    assert client.sandbox.expected(call.download_id).row_count == 500


def test_a_create_that_hangs_or_fails_creates_nothing(client: Client) -> None:
    client.auth  # noqa: B018  # the token comes first
    client.sandbox.fail(Fault("create", hang=0.01))
    client.sandbox.fail(Fault("create", nth=2, status=500))
    with pytest.raises(requests.ConnectionError):
        client.post({"context": "identities"})
    assert client.post({"context": "identities"}).status_code == 500
    assert [call.download_id for call in client.sandbox.calls[-2:]] == [None, None]
    assert [call.data_context for call in client.sandbox.calls[-2:]] == ["identities", "identities"]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_a_cut_body_is_announced_whole(client: Client, download_id: str, count: int) -> None:
    url = client.url(download_id)
    client.sandbox.fail(Fault("fetch", cut=count))
    with client.http.get(url, stream=True, timeout=5) as answer:
        size = client.sandbox.expected(download_id).size_bytes
        assert int(answer.headers["Content-Length"]) == size
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match=f"{size - count} more expected"):
            answer.content  # noqa: B018  # reading is what fails
    assert client.sandbox.calls[-1].status == 200


def test_a_range_can_be_cut_too(client: Client, download_id: str) -> None:
    url, whole = client.url(download_id), client.sandbox.expected(download_id).path.read_bytes()
    client.sandbox.fail(Fault("fetch", cut=10))
    with client.http.get(url, stream=True, timeout=5, headers={"Range": "bytes=100-199"}) as answer:
        assert answer.raw.read(10) == whole[100:110]
        assert (answer.status_code, answer.headers["Content-Length"]) == (206, "100")


@pytest.mark.parametrize("kind", ["token", "create", "get"])
def test_the_answers_of_the_api_can_be_cut_too(client: Client, download_id: str, kind: str) -> None:
    ask: dict[str, Any] = {
        "token": client.mint,
        "create": lambda: client.post({"context": "identities"}),
        "get": lambda: client.get(download_id),
    }
    client.sandbox.fail(Fault(kind, cut=3))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask[kind]()
    assert ask[kind]().ok


def test_a_stalled_body_stays_open_until_the_client_leaves(client: Client, download_id: str) -> None:
    url = client.url(download_id)
    client.sandbox.fail(Fault("fetch", stall=100))
    with client.http.get(url, stream=True, timeout=0.2) as answer:
        assert len(answer.raw.read(100)) == 100
        with pytest.raises(ReadTimeoutError):
            answer.raw.read(1)


def test_a_throttled_body_can_be_cut_too(client: Client, download_id: str) -> None:
    client.sandbox.settings.bytes_per_second = 100_000
    url = client.url(download_id)
    client.sandbox.fail(Fault("fetch", cut=2000))
    with client.http.get(url, stream=True, timeout=5) as answer:
        assert len(answer.raw.read(2000)) == 2000


def test_a_url_can_expire_on_order(client: Client, download_id: str) -> None:
    url = client.url(download_id)
    client.sandbox.fail(Fault("fetch", expired=True))
    answer = client.fetch(url)
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)
    assert client.fetch(url).status_code == 200


def test_an_export_can_fail_on_order(client: Client) -> None:
    client.sandbox.fail(Fault("create", export_fails="export_too_large"))
    failed = client.get(client.create()).json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "export_too_large")
    assert failed["error"]["message"]
    assert client.url(client.create())


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "post", "status": 500},
        {"kind": "get"},
        {"kind": "get", "nth": 0, "status": 500},
        {"kind": "get", "times": 0, "status": 500},
        {"kind": "get", "status": 500, "cut": 5},
        {"kind": "get", "expired": True},
        {"kind": "get", "replaces": True},
        {"kind": "get", "export_fails": "code"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault|fetch|create"):
        Fault(**wrong)


def test_a_file_can_be_replaced_while_it_is_fetched(client: Client, download_id: str) -> None:
    old = client.sandbox.expected(download_id)
    client.sandbox.fail(Fault("fetch", replaces=True))
    url = client.url(download_id)
    first, second = client.fetch(url), client.fetch(url)
    new = client.sandbox.expected(download_id)
    assert [len(each.content) for each in (first, second)] == [old.size_bytes, new.size_bytes]
    assert (first.content, second.content) == (old.path.read_bytes(), new.path.read_bytes())
    assert first.headers["ETag"] != second.headers["ETag"]


def test_control_from_another_process(client: Client, download_id: str) -> None:
    control = f"{client.sandbox.api_url}/_sandbox"
    http = requests.Session()
    assert http.post(f"{control}/faults", json={"kind": "get", "status": 500}).status_code == 201
    assert _statuses(client, download_id, 2) == [500, 200]
    refused = http.post(f"{control}/faults", json={"kind": "get", "statsu": 500})
    assert (refused.status_code, "statsu" in refused.json()["message"]) == (400, True)
    assert [call["status"] for call in http.get(f"{control}/calls").json()] == [500, 200]
    assert http.patch(f"{control}/settings", json={"rows": 7}).json()["rows"] == 7
    assert client.sandbox.settings.rows == 7
    assert http.patch(f"{control}/settings", json={"rows": 8, "rwos": 1}).status_code == 400
    assert http.patch(f"{control}/settings", json=["rows"]).status_code == 400
    assert client.sandbox.settings.rows == 7


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", ""])
def test_control_is_served_to_a_loopback_host_alone(client: Client, host: str) -> None:
    control = f"{client.sandbox.api_url}/_sandbox"
    for answer in (
        requests.get(f"{control}/calls", headers={"Host": host}, timeout=5),
        requests.patch(f"{control}/settings", json={"rows": 7}, headers={"Host": host}, timeout=5),
        requests.post(f"{control}/faults", json={"status": 500}, headers={"Host": host}, timeout=5),
    ):
        assert answer.status_code in (400, 403)
    assert client.sandbox.settings.rows == 500
    assert client.mint().status_code == 200


def test_control_takes_json_alone(client: Client) -> None:
    control = f"{client.sandbox.api_url}/_sandbox"
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = requests.patch(
            f"{control}/settings", data=b'{"rows": 7}', headers={"Content-Type": kind}, timeout=5
        )
        assert answer.status_code == 415
    assert client.sandbox.settings.rows == 500
