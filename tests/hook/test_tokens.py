"""Tokens against the sandbox: one for all, replaced when refused, and every odd answer handled."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from airflow_provider_oleria.api.rate_limit import Gate
from airflow_provider_oleria.api.tokens import TOKENS, TokenCache
from airflow_provider_oleria.exceptions import (
    OleriaAuthError,
    OleriaError,
    OleriaOutageError,
    OleriaProtocolError,
    OleriaRetriesExhaustedError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.net.redaction import quoted
from airflow_provider_oleria.sandbox import Fault, Sandbox

from .conftest import Ask


def test_a_revoked_token_is_replaced_once(oleria_sandbox: Sandbox, download_id: str, ask: Ask) -> None:
    oleria_sandbox.revoke_tokens()

    assert ask(download_id).download_id == download_id
    assert oleria_sandbox.count("get") == 2
    assert oleria_sandbox.count("token") == 1


@pytest.mark.parametrize("way", ["sync", "async", "session"])
def test_a_token_is_masked_before_the_api_receives_it(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    masked: list[tuple[str, int]] = []

    def mask(secret: str) -> None:
        masked.append((secret, oleria_sandbox.count("get")))

    monkeypatch.setattr("airflow_provider_oleria.hooks.oleria.mask_secret", mask)
    TOKENS.clear()
    if way == "sync":
        OleriaHook().get_download(download_id)
    elif way == "async":
        asyncio.run(OleriaHook().aget_download(download_id))
    else:
        with OleriaHook().get_conn() as session:
            session.get(f"/v1/downloads/{download_id}")

    token = oleria_sandbox.tokens[-1]
    assert oleria_sandbox.count("get") == 1
    assert (token, 0) in masked
    assert quoted(f"no one may use {token}") == "no one may use ***"


def test_a_process_that_mints_for_weeks_does_not_give_airflow_ever_more_to_mask(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = set()
    monkeypatch.setattr("airflow_provider_oleria.hooks.oleria.mask_secret", masked.add)
    for _ in range(60):
        TOKENS.clear()
        OleriaHook().get_download(download_id)

    assert oleria_sandbox.tokens[-60] in masked
    assert len(masked) < 60  # with the URL of each response, it would be 120
    assert quoted(f"no one may use {oleria_sandbox.tokens[-1]}") == "no one may use ***"


def test_a_rotated_secret_is_picked_up(
    oleria_sandbox: Sandbox, download_id: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(download_id)
    oleria_sandbox.rotate_secret()
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", oleria_sandbox.connection_json())

    assert ask(download_id).download_id == download_id


def test_a_wrong_secret_is_tried_once(oleria_sandbox: Sandbox, ask: Ask) -> None:
    oleria_sandbox.rotate_secret()
    with pytest.raises(OleriaAuthError, match="invalid_client: client_id or client_secret is wrong"):
        ask("some-id")

    assert [call.kind for call in oleria_sandbox.calls] == ["token"]


def test_a_token_endpoint_that_is_out_is_given_up_once(oleria_sandbox: Sandbox, ask: Ask) -> None:
    oleria_sandbox.fail(Fault(kind="token", status=500, times=None))
    with pytest.raises(
        OleriaRetriesExhaustedError, match="the token endpoint .* answered 500 .given up after 8"
    ):
        ask("some-id")

    assert oleria_sandbox.count("token") == 8


def test_the_pause_after_failed_token_requests_doubles_until_one_succeeds(
    oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[float] = []
    monkeypatch.setattr(Gate, "close", lambda _, seconds: closed.append(seconds))
    oleria_sandbox.revoke_tokens()
    hook, tokens = OleriaHook(), TokenCache()
    for _ in range(2):
        oleria_sandbox.fail(Fault(kind="token", status=503, times=9))
        for _ in range(9):
            with pytest.raises(OleriaOutageError):
                tokens.get(hook._settings, lambda _: None)
        tokens.drop(hook._settings, tokens.get(hook._settings, lambda _: None))

    full = [0.01 * 2**number for number in range(9)] * 2  # the sandbox's retry_delay
    assert all(0.75 * most <= seconds <= most for seconds, most in zip(closed, full, strict=True))


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("<html>welcome</html>", OleriaProtocolError, "without an access token"),
        ("access_token=abc", OleriaProtocolError, "without an access token"),
        ('{"expires_in": 3600}', OleriaProtocolError, "without an access token"),
        ('{"access_token": "abc", "scope": "other/scope"}', OleriaAuthError, "granted another scope than"),
        ('{"access_token": "abc", "expires_in": 0}', OleriaProtocolError, "has already expired"),
    ],
)
def test_a_token_answer_that_is_none(
    oleria_sandbox: Sandbox, ask: Ask, body: str, kind: type[OleriaError], message: str
) -> None:
    oleria_sandbox.fail(Fault(kind="token", status=200, body=body, times=None))
    with pytest.raises(kind, match=message):
        ask("some-id")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "invalid_client", "client_secret is wrong"),
        (401, "invalid_client", "client_secret is wrong"),
        (400, "invalid_request", "missing or misspelled"),
        (400, "invalid_scope", "scope"),
    ],
)
def test_a_refused_token_request_is_not_repeated(
    oleria_sandbox: Sandbox, ask: Ask, status: int, code: str, message: str
) -> None:
    oleria_sandbox.fail(Fault(kind="token", status=status, body=f'{{"error": "{code}"}}', times=None))
    with pytest.raises(OleriaAuthError, match=f"{code}: .*{message}"):
        ask("some-id")

    assert oleria_sandbox.count("token") == 1


@pytest.mark.parametrize("expires_in", ["1", '"3600"', '"3600.0"', "null", '"soon"', "3600.5"])
def test_a_token_life_in_another_form_is_read_sanely(
    oleria_sandbox: Sandbox, download_id: str, ask: Ask, expires_in: str
) -> None:
    token = oleria_sandbox.tokens[-1]
    oleria_sandbox.revoke_tokens()
    TOKENS.clear()
    oleria_sandbox.fail(
        Fault(
            kind="token",
            status=200,
            body=f'{{"access_token": "{token}", "expires_in": {expires_in}}}',
            times=1,
        )
    )
    # The token handed out is a revoked one: used once, refused, replaced.
    assert ask(download_id).download_id == download_id
    assert oleria_sandbox.count("token") == 2


def test_one_mint_for_many_threads_and_loops(oleria_sandbox: Sandbox, download_id: str) -> None:
    oleria_sandbox.revoke_tokens()
    TOKENS.clear()
    oleria_sandbox.fail(Fault(kind="token", delay=0.2, times=None))
    failures: list[BaseException] = []

    def in_thread() -> None:
        try:
            OleriaHook().get_download(download_id)
        except BaseException as problem:
            failures.append(problem)

    async def many() -> None:
        await asyncio.gather(*(OleriaHook().aget_download(download_id) for _ in range(10)))

    threads = [threading.Thread(target=in_thread) for _ in range(8)]
    threads += [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert oleria_sandbox.count("token") == 1
    assert oleria_sandbox.count("get") == 28


def test_a_short_lived_token_is_used_for_half_its_life(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    oleria_sandbox.revoke_tokens()
    oleria_sandbox.settings.token_seconds = 100
    hook, now = OleriaHook(), time.monotonic()
    monkeypatch.setattr("airflow_provider_oleria.api.tokens.time.monotonic", lambda: now)
    hook.get_download(download_id)
    monkeypatch.setattr("airflow_provider_oleria.api.tokens.time.monotonic", lambda: now + 49)
    hook.get_download(download_id)
    assert oleria_sandbox.count("token") == 1
    monkeypatch.setattr("airflow_provider_oleria.api.tokens.time.monotonic", lambda: now + 51)
    hook.get_download(download_id)
    assert oleria_sandbox.count("token") == 2


def test_the_session_keeps_the_token_from_other_hosts(
    oleria_sandbox: Sandbox, download_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same server under another name, which the session may talk to, since the tokens come from there.
    elsewhere = oleria_sandbox.api_url.replace("127.0.0.1", "localhost")
    connection = json.loads(oleria_sandbox.connection_json())
    connection["extra"]["auth_url"] = f"{elsewhere}/oauth2/token"
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(connection))
    with OleriaHook().get_conn() as session:
        assert session.get(f"/v1/downloads/{download_id}").status_code == 200
        assert session.get(f"{elsewhere}/v1/downloads/{download_id}").status_code == 401

    assert [call.authorization for call in oleria_sandbox.calls if call.kind == "get"] == [True, False]
