"""Responses of the API, of the token endpoint and of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oleria.api import protocol, rate_limit, tokens
from airflow_provider_oleria.api.protocol import FlowRun, RateLimitDelay, Request, Sleep
from airflow_provider_oleria.api.responses import Response
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from tests.fuzzing import inputs
from tests.hook.raw_server import connection, raw_server
from tests.hook.test_planted_secrets import COMPLETED, QUERY, SECRET, Server, http, in_triggerer, in_worker
from tests.hook.test_tracebacks import frames

from .hostile import DOWNLOADS, HEADERS, STATUSES, TOKENS, Values, bodies, only_ours, planted

FLOWS: dict[str, Callable[[Callable[[], float]], Any]] = {
    "create": lambda clock: protocol.create("risks"),
    "get": lambda clock: protocol.get("id-1", clock=clock),
    "wait": lambda clock: protocol.wait(
        "id-1", poll_interval=5, max_poll_interval=60, deadline=3600, clock=clock, wall_clock=clock
    ),
    "probe": lambda clock: protocol.probe(),
}


@given(
    flow=st.sampled_from([*FLOWS]),
    to_come=st.lists(st.builds(Response, STATUSES, HEADERS.map(dict), bodies(DOWNLOADS)), max_size=4),
    has_changed=st.booleans(),
)
def test_a_flow_ends_with_a_download_or_an_error(
    flow: str, to_come: list[Response], *, has_changed: bool
) -> None:
    """Without I/O."""
    now = 0.0
    with only_ours():
        run = FlowRun(FLOWS[flow](lambda: now))
        while run.step is not None:
            outcome: Any = has_changed  # of ReloadConnection
            match run.step:
                case RateLimitDelay():
                    outcome = 0.0
                case Sleep(seconds):
                    now += seconds
                case Request():
                    outcome = to_come.pop(0) if to_come else Response(400, {}, b"")
            run.advance(outcome)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The API, the token endpoint and the store, over HTTP. No retry waits long."""
    one = Server()
    with raw_server(one) as one.url, pytest.MonkeyPatch.context() as patch:
        about = connection(one.url, timeout=30, retry_attempts=2, retry_delay=0.001, retry_max_wait=0.01)
        patch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(json.loads(about) | {"password": SECRET}))
        yield one


def replies(values: Values) -> st.SearchStrategy[bytes]:
    def reply(status: int, reason: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
        lines = [f"HTTP/1.1 {status} {reason}", *map(": ".join, headers), "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + body

    whole = st.builds(reply, STATUSES, st.sampled_from(["OK", SECRET]), HEADERS, bodies(values))
    return whole | whole | st.binary(max_size=100)


TOKEN = http({"access_token": "abc"})


@inputs(0.3)
@given(
    show=st.sampled_from([in_worker, in_triggerer]),
    token=st.just(TOKEN) | replies(TOKENS),
    download=replies(DOWNLOADS),
)
def test_a_wait_ends_with_a_download_or_an_error(
    server: Server, show: Callable[[], list[str]], token: bytes, download: bytes
) -> None:
    """With ``requests`` and with ``aiohttp``; the variables of tracebacks are searched, too."""
    tokens.TOKENS.clear()
    rate_limit._gates.clear()
    server.planted = {"POST /oauth2/token": token, "GET /v1/downloads/id-1": download}
    with planted() as lines:
        lines += show()
        assert "failed in the triggerer" not in "\n".join(lines)  # by an error that is not ours


@inputs(0.3)
@given(stored=replies(st.just({"identityId": 1})))
def test_a_response_of_the_store_is_a_file_or_an_error(server: Server, stored: bytes) -> None:
    tokens.TOKENS.clear()
    rate_limit._gates.clear()
    completed = http({**COMPLETED, "url": f"{server.url}/x.csv?{QUERY}"})
    server.planted = {
        "POST /oauth2/token": TOKEN,
        "GET /v1/downloads/id-1": completed,
        f"GET /x.csv?{QUERY}": stored,
    }
    with TemporaryDirectory() as folder, planted() as lines:
        file = Path(folder) / "x.csv"
        try:
            saved = OleriaHook().save_download(
                "id-1", file.as_uri(), SaveOptions(required_columns=["identityId"])
            )
            assert file.stat().st_size == saved.size_bytes
        except OleriaError as problem:
            lines += frames(problem)
            assert not file.exists()
