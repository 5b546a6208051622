"""Servers that repeat a credential: no log, error, variable of a traceback or event shows it."""

from __future__ import annotations

import asyncio
import base64
import copy
import html
import json
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.triggers.oleria import OleriaDownloadTrigger

from .raw_server import connection, http, raw_server
from .test_tracebacks import frames

MARK = "pl4nted"
"""In each credential, and unchanged by the encodings that change single characters."""

SECRET = f"s3cret+/=&\"'<{MARK}"
TOKEN = f"t0ken~/={MARK}"
QUERY = f"X-Amz-Security-Token={MARK}%2Fkey%3D{MARK}&X-Amz-Signature={MARK}f00df00df00d"
URL = f"https://store.example/x.csv?{QUERY}"
PROXY_PASSWORD = f"pr0xy {MARK}"

CREDENTIALS = (
    *(SECRET, TOKEN, URL, QUERY, f"{MARK}/key={MARK}", PROXY_PASSWORD),
    *(base64.b64encode(pair.encode()).decode() for pair in (f"client:{SECRET}", f"user:{PROXY_PASSWORD}")),
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "form": quote_plus,
    "percent": lambda text: quote(text, safe=""),
    "json": lambda text: json.dumps(text)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text))[1:-1],
    "html": html.escape,
    "html, numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "repr": repr,
}

PLANTED = [*CREDENTIALS, *(spell(SECRET) for spell in SPELLINGS.values())]
"""Each as it is, and one in each spelling; tests/unit/test_redaction.py has the rest."""

Reply = Callable[[str], bytes]

COMPLETED = {"id": "id-1", "status": "completed", "url": URL}


def raw(body: str, status: int = 400, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} Bad", f"Content-Length: {len(body.encode())}", "Connection: close", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


ANSWERS_OF_THE_API: dict[str, Reply] = {
    "code": lambda planted: http({"code": planted, "message": "no"}, 400),
    "message": lambda planted: http({"code": "no", "message": f"the key {planted} is not known"}, 403),
    "list": lambda planted: http({"code": 4, "message": ["no", {"key": planted}]}, 400),
    "another spelling": lambda planted: http({"clientSecret": planted, "Authorisation": planted}, 404),
    "pretty-printed": lambda planted: raw(json.dumps({"credentials": {"key": [planted]}}, indent=4)),
    "list alone": lambda planted: http([planted, [planted]], 400),
    "string alone": lambda planted: http(planted, 400),
    "prose": lambda planted: raw(f"<html><p>The client {planted} may not.</p>", 400),
    "prose, many": lambda planted: raw(f"{planted} " * 3000, 400),
    "redirect": lambda planted: raw(f"moved to {planted}", 302, f"Location: /{planted}?x={planted}"),
    "headers": lambda planted: raw("{}", 400, f"X-Error: {planted}", f"Set-Cookie: {planted}={planted}"),
    "a header without a colon": lambda planted: raw("{}", 400, planted),
    "reason": lambda planted: f"HTTP/1.1 400 {planted}\r\nContent-Length: 0\r\n\r\n".encode(),
    "id": lambda planted: http({**COMPLETED, "id": planted}),
    "id alone": lambda planted: http({"id": planted, "status": "completed", "url": None}),
    "no id": lambda planted: http({"download": planted, "url": URL}),
    "no object": lambda planted: http([{"url": URL}, planted]),
    "status and error": lambda planted: http({"id": "id-1", "status": "failed", "error": planted}),
    "error": lambda planted: http(
        {"id": "id-1", "status": "failed", "error": {"code": planted, "message": [planted]}}
    ),
    "status, no url": lambda planted: http({"id": "id-1", "status": planted, "error": None}),
}

ANSWERS_OF_THE_TOKEN_ENDPOINT: dict[str, Reply] = {
    "error_description": lambda planted: http({"error": "invalid_client", "error_description": planted}, 401),
    "error": lambda planted: http({"error": planted}, 400),
    "error in a list": lambda planted: http({"error": [planted], "scope": planted}, 400),
    "page": lambda planted: raw(f"<p>{planted}</p>", 404),
    "no token": lambda planted: http({"token": planted, "scope": planted}),
    "scope": lambda planted: http({"access_token": TOKEN, "scope": planted}),
    "redirect": lambda planted: raw(planted, 307, f"Location: {planted}"),
    "lifetime": lambda planted: http({"access_token": TOKEN, "expires_in": planted}),
    "error header": lambda planted: raw("{}", 400, f"x-amzn-ErrorType: {planted}"),
}


class Server:
    """Answers like Oleria, until ``planted`` has another answer for ``METHOD /path``."""

    url: str

    def __init__(self) -> None:
        self.planted: dict[str, bytes] = {}

    def __call__(self, request: str) -> bytes:
        usual = {
            "POST /oauth2/token": http({"access_token": TOKEN, "expires_in": 3600}),
            "GET /v1/downloads/id-1": http(COMPLETED),
        }
        return self.planted.get(request) or usual[request]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    with raw_server(one) as url:
        about = json.loads(connection(url, timeout=20, retry_attempts=2))
        about["password"] = SECRET
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(about))
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{quote(PROXY_PASSWORD)}@proxy.example:3128")
        # What the process has used so far: token, URL and proxy.
        OleriaHook().get_download("id-1")
        from airflow_provider_oleria.net.route import find_route

        find_route("https://store.example", OleriaHook()._settings)
        yield one


def in_worker() -> list[str]:
    """What a worker shows of a wait: the error, with its frames."""
    try:
        return [repr(OleriaHook().wait_for_download("id-1", poll_interval=0.01, timeout=0.05))]
    except OleriaError as problem:
        return list(frames(problem))


def in_triggerer() -> list[str]:
    """What a triggerer shows: the event."""
    trigger = OleriaDownloadTrigger("id-1", poll_interval=0.01, deadline=time.time() + 0.05)

    async def run() -> list[str]:
        return [repr(event.payload) async for event in trigger.run()]

    return asyncio.run(run())


def assert_nothing_shown(shown: str) -> None:
    for secret in (MARK, *PLANTED):
        assert secret not in shown


DRIVERS = pytest.mark.parametrize("show", [in_worker, in_triggerer])


@DRIVERS
@pytest.mark.parametrize("answer", ANSWERS_OF_THE_API)
def test_the_api_repeats_a_credential(
    server: Server, caplog: pytest.LogCaptureFixture, show: Callable[[], list[str]], answer: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for planted in PLANTED:
        server.planted = {"GET /v1/downloads/id-1": ANSWERS_OF_THE_API[answer](planted)}

        assert_nothing_shown("\n".join([*show(), caplog.text]))
        caplog.clear()


@DRIVERS
@pytest.mark.parametrize("answer", ANSWERS_OF_THE_TOKEN_ENDPOINT)
def test_the_token_endpoint_repeats_a_credential(
    server: Server, caplog: pytest.LogCaptureFixture, show: Callable[[], list[str]], answer: str
) -> None:
    from airflow_provider_oleria.api import rate_limit
    from airflow_provider_oleria.api.tokens import TOKENS

    caplog.set_level(logging.DEBUG)
    for planted in PLANTED:
        TOKENS.clear()
        rate_limit._gates.clear()
        server.planted = {"POST /oauth2/token": ANSWERS_OF_THE_TOKEN_ENDPOINT[answer](planted)}

        assert_nothing_shown("\n".join([*show(), caplog.text]))
        caplog.clear()


ANSWERS_OF_THE_STORE: dict[str, Reply] = {
    "code": lambda planted: raw(f"<Error><Code>{planted}</Code></Error>", 400),
    "message": lambda planted: raw(f"<Error><Code>No</Code><Message>{planted}</Message></Error>", 403),
    "encoding": lambda planted: raw(planted, 200, f"Content-Encoding: {planted}"),
    "ETag": lambda planted: raw(planted, 206, f"ETag: {planted}", f"Content-Range: {planted}"),
    "redirect": lambda planted: raw(planted, 301, f"Location: {planted}"),
    "file": lambda planted: raw(planted, 200),
}


@pytest.mark.parametrize("answer", ANSWERS_OF_THE_STORE)
def test_the_store_repeats_a_credential(
    server: Server, caplog: pytest.LogCaptureFixture, tmp_path: Path, answer: str
) -> None:
    from airflow_provider_oleria.downloads import SaveOptions

    caplog.set_level(logging.DEBUG)
    for planted in PLANTED[:4]:
        with raw_server(lambda _, planted=planted: ANSWERS_OF_THE_STORE[answer](planted)) as store:  # type: ignore[misc]  # mypy cannot infer it
            server.planted = {"GET /v1/downloads/id-1": http({**COMPLETED, "url": f"{store}/x.csv?{QUERY}"})}
            try:
                shown = [
                    repr(
                        OleriaHook().save_download(
                            "id-1",
                            (tmp_path / "x.csv").as_uri(),
                            SaveOptions(required_columns=["identityId"]),
                        )
                    )
                ]
            except OleriaError as problem:
                shown = list(frames(problem))

        assert_nothing_shown("\n".join([*shown, caplog.text]))
        caplog.clear()


def test_a_hook_that_was_used_is_copied_without_secrets(server: Server) -> None:
    hook = OleriaHook()
    hook.get_download("id-1")

    assert MARK.encode() not in pickle.dumps(hook)
    for other in (copy.copy(hook), copy.deepcopy(hook), pickle.loads(pickle.dumps(hook))):  # noqa: S301  # our own
        assert MARK not in repr(vars(other))
        assert other.get_download("id-1").url == URL


def test_how_a_tenant_is_reached_is_shown_without_the_proxys_password(server: Server) -> None:
    from airflow_provider_oleria.api.loop_state import Access
    from airflow_provider_oleria.net.route import find_route

    settings = OleriaHook()._settings
    route = find_route("https://store.example", settings)
    assert route.proxy is not None
    access = Access(settings, route, {"proxy": route.proxy.url})

    for shown in (repr(access), repr(route), str(route.proxy), repr([settings])):
        assert MARK not in shown
        assert quote(PROXY_PASSWORD) not in shown
