"""The token endpoint and the Downloads API keep the published contract."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
import requests

from airflow_provider_oleria.sandbox import Fault, Sandbox

from .client import Client


def test_a_token_comes_as_published(client: Client) -> None:
    answer = client.mint()
    token = answer.json()
    assert (answer.status_code, token["token_type"], token["expires_in"]) == (200, "Bearer", 3600)
    assert token["access_token"].count(".") == 2
    assert client.sandbox.tokens == [token["access_token"]]


def test_every_token_is_another(client: Client) -> None:
    assert client.mint().json() != client.mint().json()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"grant_type": None}, 400, "invalid_request"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_secret": None}, 400, "invalid_request"),
        ({"scope": None}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"client_id": ["sandbox-client", "sandbox-client"]}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": "wröng"}, 401, "invalid_client"),
        ({"scope": "another/scope"}, 400, "invalid_scope"),
        ({"audience": "https://another.example.com"}, 400, "invalid_request"),
    ],
)
def test_a_wrong_token_request_is_refused(
    client: Client, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = client.mint(**changes)
    assert (answer.status_code, answer.json()) == (status, {"error": code})


def test_the_audience_may_be_sent(client: Client) -> None:
    assert client.mint(audience=client.sandbox.audience).status_code == 200


def test_basic_authentication_is_refused(client: Client) -> None:
    pair = (client.sandbox.client_id, client.sandbox.client_secret)
    answer = requests.post(client.sandbox.auth_url, data=client.form(), auth=pair, timeout=5)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def test_a_json_body_is_no_token_request(client: Client) -> None:
    assert requests.post(client.sandbox.auth_url, json=client.form(), timeout=5).status_code == 400


def test_the_secret_changes_when_form_encoded(sandbox: Sandbox) -> None:
    assert requests.utils.quote(sandbox.client_secret, safe="") != sandbox.client_secret


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic abc"])
def test_the_api_wants_a_token(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for answer in (client.post({"context": "identities"}, headers=headers), client.get("x", headers=headers)):
        assert answer.status_code == 401
        assert answer.json().keys() == {"code", "message"}


def test_tokens_expire(client: Client) -> None:
    client.sandbox.settings.token_seconds = 0
    assert client.post({"context": "identities"}).status_code == 401


def test_revoked_tokens_are_refused_and_new_ones_accepted(client: Client) -> None:
    old = client.auth
    client.sandbox.revoke_tokens()
    assert client.post({"context": "identities"}, headers=old).status_code == 401
    assert Client(client.sandbox).post({"context": "identities"}).status_code == 201


def test_a_rotated_secret_replaces_the_old_one(client: Client) -> None:
    old = client.sandbox.client_secret
    headers = client.auth
    new = client.sandbox.rotate_secret()
    assert client.sandbox.secrets == [old, new]
    assert client.mint(client_secret=old).json() == {"error": "invalid_client"}
    assert client.mint(client_secret=new).status_code == 200
    assert client.get("x", headers=headers).status_code == 401


def test_rotated_credentials_replace_the_old_ones_and_see_their_downloads(client: Client) -> None:
    sandbox = client.sandbox
    before = client.form()
    download_id = client.create()
    client_id, secret = sandbox.rotate_credentials()

    assert (client_id, secret) == (sandbox.client_id, sandbox.client_secret)
    assert client_id != before["client_id"]
    assert client.mint(**before).json() == {"error": "invalid_client"}
    assert client.get(download_id).status_code == 401
    assert Client(sandbox).get(download_id).status_code == 200
    connection = json.loads(sandbox.connection_json())
    assert (connection["extra"]["client_id"], connection["extra"]["client_secret"]) == (client_id, secret)


def test_an_unknown_status_and_a_long_retry_after_can_be_ordered(client: Client) -> None:
    client.sandbox.fail(Fault(kind="create", fields={"status": "queued"}))
    assert client.post({"context": "identities"}).json()["status"] == "queued"
    client.sandbox.fail(Fault(kind="get", status=429, headers={"Retry-After": "900"}))
    refused = client.get("x")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "900")


def test_an_export_is_accepted_then_completed(client: Client) -> None:
    client.sandbox.settings.export_seconds = 60
    created = client.post({"context": "identities"})
    download_id = created.json()["id"]
    assert created.status_code == 201
    assert created.json() == {"id": str(uuid.UUID(download_id)), "status": "accepted"}
    client.sandbox.expected(download_id)
    assert client.get(download_id).json() == {"id": download_id, "status": "accepted"}
    client.sandbox.settings.export_seconds = 0
    completed = client.get(download_id).json()
    assert completed.keys() == {"id", "status", "url"}
    assert completed["status"] == "completed"


def test_every_get_gives_another_url(client: Client) -> None:
    download_id = client.create()
    first, second = client.url(download_id), client.url(download_id)
    assert first != second
    assert [url.rsplit("=", 1)[1] for url in (first, second)] == client.sandbox.signatures


def test_every_create_starts_another_export(client: Client) -> None:
    assert client.create() != client.create()


def test_an_unknown_id_is_not_found(client: Client) -> None:
    answer = client.get(str(uuid.uuid4()))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def _filter(**changes: Any) -> dict[str, Any]:
    item = {"dataType": "string", "field": "department", "filterType": "eq", "values": ["Sales"]}
    return {name: value for name, value in (item | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ([], "invalid_request", "object"),
        ({}, "invalid_request", "context"),
        ({"context": ""}, "invalid_context", "context"),
        ({"context": 5}, "invalid_context", "context"),
        ({"context": "identities", "parms": {}}, "invalid_request", "parms"),
        ({"context": "identities", "params": []}, "invalid_request", "params"),
        ({"context": "identities", "params": {"filter": []}}, "invalid_request", "filter"),
        ({"context": "identities", "params": {"filterBy": {}}}, "invalid_request", "filterBy"),
        ({"context": "identities", "params": {"filterBy": None}}, "invalid_request", "filterBy"),
        ({"context": "identities", "params": {"filterBy": ["x"]}}, "invalid_request", "filter"),
        ({"context": "identities", "params": {"sortBy": "createdAt"}}, "invalid_request", "sortBy"),
        ({"context": "identitys"}, "invalid_context", "identitys"),
    ],
)
def test_a_malformed_body_is_refused(client: Client, body: Any, code: str, named: str) -> None:
    answer = client.post(body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("item", "code", "named"),
    [
        (_filter(field="departmnt"), "invalid_field", "departmnt"),
        (_filter(filterType="gt"), "invalid_filter", "gt"),
        (_filter(values=[]), "invalid_filter", "0 values"),
        (_filter(values=["a", "b"]), "invalid_filter", "2 values"),
        (_filter(values=None), "invalid_filter", "lacks values"),
        (_filter(filterType="isNull"), "invalid_filter", "1 values"),
        (_filter(dataType=["string"]), "invalid_filter", "dataType"),
        (_filter(values=[5]), "invalid_filter", "string"),
        (_filter(values="Sales"), "invalid_filter", "list"),
        (_filter(extra=1), "invalid_filter", "extra"),
        (_filter(dataType="number", values=[5]), "invalid_filter", "is a string"),
        (_filter(dataType="number", field="dormantDays", values=["5"]), "invalid_filter", "dormantDays"),
        (_filter(dataType="boolean", field="mfaEnabled", values=["true"]), "invalid_filter", "mfaEnabled"),
        (_filter(filterType="matches", values=["("]), "invalid_filter", "matches"),
        (
            _filter(dataType="timestamp", field="createdAt", filterType="last", values=["99999999w"]),
            "invalid_filter",
            "last",
        ),
        (
            _filter(dataType="timestamp", field="createdAt", filterType="gt", values=["2026-05-12"]),
            "invalid_filter",
            "timestamp",
        ),
        (
            _filter(
                dataType="timestamp", field="createdAt", filterType="gt", values=["2026-13-12T00:00:00Z"]
            ),
            "invalid_filter",
            "createdAt",
        ),
        (_filter(values=["{{ params.department }}"]), "invalid_request", "not rendered"),
        (_filter(dataType="{{ x }}"), "invalid_request", "not rendered"),
    ],
)
def test_a_wrong_filter_is_refused(client: Client, item: dict[str, Any], code: str, named: str) -> None:
    answer = client.post({"context": "identities", "params": {"filterBy": [item]}})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"field": "createdAt"}, "invalid_sort"),
        ({"field": "createdAt", "sortType": "down"}, "invalid_sort"),
        ({"field": "created", "sortType": "asc"}, "invalid_field"),
    ],
)
def test_a_wrong_sort_order_is_refused(client: Client, item: dict[str, Any], code: str) -> None:
    answer = client.post({"context": "identities", "params": {"sortBy": [item]}})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_what_is_no_json_is_refused(client: Client) -> None:
    url = f"{client.sandbox.api_url}/v1/downloads"
    answer = requests.post(url, data=b"{", headers=client.auth, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_params_are_optional(client: Client) -> None:
    assert client.post({"context": "identities"}).status_code == 201


def test_unknown_paths_and_methods_answer_as_the_api_does(client: Client) -> None:
    url = client.sandbox.api_url
    for answer in (requests.get(f"{url}/v2/x", timeout=5), requests.put(f"{url}/v1/downloads", timeout=5)):
        assert answer.status_code in (404, 405)
        assert answer.json().keys() == {"code", "message"}


def test_too_many_requests_have_to_wait(client: Client) -> None:
    headers = client.auth
    client.sandbox.settings.rate_limit = 3
    answers = [client.get("x", headers=headers) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    # Refused calls do not count: a second after the first three there is room again.
    deadline = time.monotonic() + 3
    while client.get("x", headers=headers).status_code == 429:
        assert time.monotonic() < deadline


def test_the_ledger_has_every_request(client: Client) -> None:
    body = {"context": "identities", "params": {}}
    before = time.time()
    download_id = client.post(body).json()["id"]
    client.fetch(client.url(download_id), Range="bytes=0-9")
    token, create, get, fetch = client.sandbox.calls
    assert (token.kind, token.status, token.authorization) == ("token", 200, False)
    assert token.body == ["grant_type", "client_id", "client_secret", "scope"]
    assert (create.kind, create.method, create.path) == ("create", "POST", "/v1/downloads")
    assert (create.status, create.body, create.authorization) == (201, body, True)
    assert (get.kind, get.status, get.path) == ("get", 200, f"/v1/downloads/{download_id}")
    assert (fetch.kind, fetch.status, fetch.range, fetch.authorization) == ("fetch", 206, "bytes=0-9", False)
    for call in (create, get, fetch):
        assert (call.download_id, call.data_context) == (download_id, "identities")
        assert before <= call.time <= time.time()
    assert "?" not in fetch.path


def test_reset_forgets_calls_and_keeps_tokens_and_downloads(client: Client) -> None:
    download_id = client.create()
    assert (client.sandbox.count("create"), client.sandbox.count("token")) == (1, 1)
    client.sandbox.reset()
    assert client.sandbox.calls == []
    assert client.get(download_id).status_code == 200


def test_the_connection_has_url_and_credentials(sandbox: Sandbox) -> None:
    connection = json.loads(sandbox.connection_json())
    assert (connection["conn_type"], connection["host"]) == ("oleria", sandbox.api_url)
    assert connection["extra"] == {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "auth_url": f"{sandbox.api_url}/oauth2/token",
        "audience": sandbox.audience,
        "retry_delay": 0.01,
    }


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="rows"):
        Sandbox(rows=-1)
    with pytest.raises(ValueError, match="content_encoding"):
        Sandbox(content_encoding="br")


def test_a_body_that_is_no_text_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(client.sandbox.auth_url, data=b"\xff\xfe", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0"])  # noqa: S104  # for a moment
def test_it_is_reached_at_its_url(host: str) -> None:
    with Sandbox(host=host) as sandbox:
        assert Client(sandbox).mint().status_code == 200
