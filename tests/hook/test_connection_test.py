"""Airflow's Test button: what it reports about each possible fault, over real sockets."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.models.connection import Connection

from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.servers.certificates import self_signed

GOOD = (True, "A token was issued, and the API accepts it.")
PAGE = "<html>Sign in</html>"


class Form:
    """What is in the form: a connection to the sandbox, to be spoiled."""

    def __init__(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._fields = json.loads(sandbox.connection_json())

    def fill_in(self, host: str | None = None, **extra: Any) -> None:
        self._fields["host"] = host or self._fields["host"]
        self._fields["extra"] |= extra
        self._monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(self._fields))

    def fill_in_both(self, url: str) -> None:
        self.fill_in(host=url, auth_url=f"{url}/oauth2/token")


@pytest.fixture
def form(oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Form:
    return Form(oleria_sandbox, monkeypatch)


def result() -> str:
    """What is wrong, in Airflow's own words for it."""
    good, text = OleriaHook().test_connection()
    assert not good
    return text


def test_what_works_works(oleria_sandbox: Sandbox) -> None:
    assert OleriaHook().test_connection() == GOOD
    assert [call.kind for call in oleria_sandbox.calls] == ["token", "get"]


def test_the_token_is_minted_again_and_leaves_the_one_in_use_alone(oleria_sandbox: Sandbox) -> None:
    hook = OleriaHook()
    in_use = hook.create_download("risks").download_id
    oleria_sandbox.fail(Fault(kind="token", status=401, body='{"error": "invalid_client"}'))

    assert "401 invalid_client: client_id or client_secret is wrong" in result()
    assert hook.test_connection() == GOOD
    hook.get_download(in_use)
    assert oleria_sandbox.count("token") == 3


def test_a_secret_that_was_never_right(form: Form) -> None:
    form.fill_in(client_secret="a typing error")
    assert "invalid_client: client_id or client_secret is wrong" in result()


def test_a_scope_that_is_not_known(form: Form) -> None:
    form.fill_in(scope="some/other_scope")
    assert "invalid_scope: the scope is not known or not granted" in result()


def test_an_audience_that_is_refused(form: Form) -> None:
    form.fill_in(audience="https://elsewhere.example")
    assert "invalid_request" in result()


def test_a_missing_field(form: Form) -> None:
    form.fill_in(auth_url="")
    assert "'auth_url' (Authentication URL) is missing" in result()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="get", status=401), "is the API URL (host) of the same environment as auth_url?"),
        (Fault(kind="get", status=403), "answered 403"),
        (Fault(kind="get", status=302), "A redirect is not followed with a token"),
        (Fault(kind="get", body=PAGE), "Is the Connection's host the API URL?"),
        (Fault(kind="get", status=404, body=PAGE), "Is the Connection's host the API URL?"),
        (Fault(kind="token", body=PAGE), "Is this the Authentication URL?"),
        (Fault(kind="token", status=404, body=PAGE), "Is extra 'auth_url' the Authentication URL?"),
        (Fault(kind="get", status=503), "answered 503"),
        (Fault(kind="get", status=429, headers={"Retry-After": "30"}), "rate limit is reached"),
        (Fault(kind="get", drop=True), "the connection broke"),
        (Fault(kind="token", status=503), "answered 503"),
        (Fault(kind="token", status=429), "answered 429"),
    ],
    ids=lambda value: None if isinstance(value, str) else f"{value.kind}-{value.status or 'page'}",
)
def test_a_useless_response_is_reported_at_once(oleria_sandbox: Sandbox, fault: Fault, expected: str) -> None:
    oleria_sandbox.fail(fault)

    assert expected in result()
    assert oleria_sandbox.count("token") == 1
    assert oleria_sandbox.count("get") == (fault.kind == "get")


def test_a_server_that_does_not_respond(oleria_sandbox: Sandbox, form: Form) -> None:
    form.fill_in(timeout=0.2)
    oleria_sandbox.fail(Fault(kind="get", hang=60))
    assert "no response came in time" in result()


def test_a_port_without_a_server(form: Form) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    form.fill_in_both(f"http://127.0.0.1:{port}")
    assert f"127.0.0.1:{port}: the connection was refused" in result()


def test_a_name_that_does_not_exist(form: Form) -> None:
    form.fill_in_both("https://devx.tenant.invalid")
    assert result().startswith("devx.tenant.invalid: its name cannot be resolved")


def test_a_firewall_that_swallows_everything(form: Form) -> None:
    form.fill_in(timeout=0.3)
    with ExitStack() as stack:
        # Once its queue is full, a listener that accepts none leaves connections unanswered, as a firewall does.
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        for _ in range(8):
            caller = stack.enter_context(closing(socket.socket()))
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(listener.getsockname())
        form.fill_in_both(f"http://127.0.0.1:{listener.getsockname()[1]}")
        text = result()
    assert "no connection could be made in time. Allow outgoing https to this host" in text


def test_a_certificate_that_is_not_trusted(
    form: Form, tls_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    form.fill_in_both(f"https://localhost:{tls_port}")
    text = result()
    assert text.startswith(
        f"localhost:{tls_port}: its TLS certificate is not trusted (self-signed certificate)"
    )
    assert "extra 'verify'" in text


def test_https_where_plain_http_is_spoken(form: Form, oleria_sandbox: Sandbox) -> None:
    form.fill_in_both(oleria_sandbox.api_url.replace("http:", "https:"))
    assert "TLS failed (WRONG_VERSION_NUMBER). Check whether host and port" in result()


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A server with a certificate of its own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed("localhost", tmp_path))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with closing(caller), suppress(ssl.SSLError):
                        context.wrap_socket(caller, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("port_apart", [False, True])
def test_what_is_in_the_form_is_tested_before_it_is_saved(
    oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *, port_apart: bool
) -> None:
    """As Airflow's API server does it: an id made up for the test, and the connection as a URI in the environment."""
    monkeypatch.delenv("AIRFLOW_CONN_OLERIA_DEFAULT")
    fields = json.loads(oleria_sandbox.connection_json())
    host, port = fields["host"], None
    if port_apart:
        host, port = host.rsplit(":", 1)[0], int(host.rsplit(":", 1)[1])
    connection = Connection(
        conn_id="pxqwvz", conn_type="oleria", host=host, port=port, extra=json.dumps(fields["extra"])
    )
    monkeypatch.setenv("AIRFLOW_CONN_PXQWVZ", connection.get_uri())

    assert connection.test_connection() == GOOD
    assert "AIRFLOW_CONN_OLERIA_DEFAULT" not in os.environ
