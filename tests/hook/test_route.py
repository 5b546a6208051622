"""Proxies, as worker and triggerer meet them, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.api import protocol
from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.compat import AirflowFailException
from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaError,
    OleriaFatalError,
    OleriaInputError,
    OleriaResponseLostError,
    OleriaRetriesExhaustedError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.net.route import find_route
from airflow_provider_oleria.net.session import SafeSession
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.servers.certificates import Authority
from tests.servers.proxy import HOST, STORE, Proxy, tls_in_front_of

from .conftest import Ask
from .saving import assert_whole, save

pytestmark = pytest.mark.usefixtures("no_variables")


def test_a_proxy_without_scheme_and_an_own_ca_serve_both(
    download_id: str, tenant: Any, proxy: Proxy, ask: Ask
) -> None:
    tenant()
    assert ask(download_id).download_id == download_id
    assert {head.split(" HTTP")[0] for head in proxy.requests} == {f"CONNECT {HOST}:443"}


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_credentials_of_the_proxy_are_sent_to_it(
    download_id: str, tenant: Any, proxy: Proxy, ask: Ask, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv(variable, f"http://user:p%40ss%3Aword@127.0.0.1:{proxy.port}")
    tenant()
    ask(download_id)
    expected = base64.b64encode(b"user:p@ss:word").decode()
    assert all(f"Proxy-Authorization: Basic {expected}" in head for head in proxy.requests)


@pytest.mark.parametrize(("login", "sent"), [("user", b"user:"), (":pass-word", None), ("user:", b"user:")])
def test_both_send_the_same_part_of_a_login(
    download_id: str,
    tenant: Any,
    proxy: Proxy,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    *,
    login: str,
    sent: bytes | None,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{login}@127.0.0.1:{proxy.port}")
    tenant()
    ask(download_id)
    for head in proxy.requests:
        found = re.findall("Proxy-Authorization: Basic (.*)\r", head)
        assert [base64.b64decode(value) for value in found] == ([sent] if sent else [])


@pytest.mark.parametrize(
    "login", ["user:pass-word\N{EURO SIGN}", "user:pass-word%E2%82%AC", "us%3Aer:pass-word"]
)
def test_a_login_that_cannot_be_sent_is_refused_with_its_variable(
    oleria_sandbox: Sandbox, tenant: Any, proxy: Proxy, ask: Ask, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{login}@127.0.0.1:{proxy.port}")
    tenant()
    with pytest.raises(OleriaConfigurationError, match="proxy from HTTPS_PROXY cannot be sent") as raised:
        ask("some-id")
    assert not proxy.requests
    for frame, _ in traceback.walk_tb(raised.tb):
        if frame.f_code.co_filename != __file__:
            assert "pass-word" not in repr(frame.f_locals)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (407, "answered 407: it does not accept the user name and password in HTTPS_PROXY"),
        (403, f"answered 403 to the request to connect to {HOST}"),
        (405, "or correct HTTPS_PROXY"),
        (302, "or correct HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_refuses_is_named_and_fatal(
    download_id: str,
    tenant: Any,
    proxy: Proxy,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    message: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass-word@127.0.0.1:{proxy.port}")
    tenant()
    proxy.status = status
    with pytest.raises(OleriaConfigurationError, match=message) as raised:
        ask(download_id)
    assert f"http://127.0.0.1:{proxy.port} (from HTTPS_PROXY)" in str(raised.value)
    assert "pass-word" not in repr(raised.value)
    assert len(proxy.requests) == 1


def test_the_triggerers_own_call_names_the_proxy_too(
    download_id: str, tenant: Any, proxy: Proxy, ask: Ask
) -> None:
    """With a token from before, the refused request is not the token's."""
    tenant()
    OleriaHook().get_download(download_id)
    for status, message in ((407, "requires a user name and password"), (403, "Allow the host at the proxy")):
        proxy.status = status
        with pytest.raises(OleriaConfigurationError, match=message):
            ask(download_id)


@pytest.mark.parametrize("status", [408, 429, 502])
def test_a_proxy_that_cannot_reach_the_host_is_tried_again(
    download_id: str, tenant: Any, proxy: Proxy, ask: Ask, status: int
) -> None:
    tenant()
    proxy.status = status
    with pytest.raises(OleriaRetriesExhaustedError, match=rf"\(from HTTPS_PROXY\) answered {status}"):
        ask(download_id)
    assert len(proxy.requests) > 1


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        (
            "http://no-such-proxy.invalid:3128",
            OleriaConfigurationError,
            "name of the proxy http://no-such-proxy",
        ),
        ("no-such-proxy.invalid:3128", OleriaConfigurationError, "cannot be resolved. Correct HTTPS_PROXY"),
        ("http://", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
        ("http:/proxy.example:3128", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
        ("http://proxy.example:port", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
        ("http://proxy..example:3128", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
        ("http://[::1:3128", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
        ("ftp://proxy.example:21", OleriaConfigurationError, "the proxy from HTTPS_PROXY is not a URL"),
    ],
)
def test_a_wrong_proxy_is_named(
    oleria_sandbox: Sandbox,
    tenant: Any,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    *,
    url: str,
    kind: type[OleriaError],
    message: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    tenant()
    with pytest.raises(kind, match=message):
        ask("some-id")


def test_a_proxy_that_is_down_is_named_and_tried_again(
    oleria_sandbox: Sandbox, tenant: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    tenant()
    with pytest.raises(
        OleriaRetriesExhaustedError, match=f":{port} .from HTTPS_PROXY. refused the connection"
    ):
        ask("some-id")


@pytest.fixture(params=["worker", "async task"])
def create(request: pytest.FixtureRequest) -> Any:
    """Starts a download, with each of the two drivers."""
    if request.param == "worker":
        return lambda: OleriaHook().create_download("identities")
    return lambda: asyncio.run(OleriaHook().acreate_download("identities"))


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000],
    ids=["none", "of another protocol", "without end"],
)
def test_what_a_proxy_that_is_none_did_not_pass_on_is_not_lost(
    oleria_sandbox: Sandbox, download_id: str, tenant: Any, proxy: Proxy, create: Any, answer: bytes
) -> None:
    tenant(retry_delay=0.01, retry_attempts=2)
    OleriaHook().get_download(download_id)  # a token from before, so that it is the POST that fails
    proxy.answer = answer
    with pytest.raises(OleriaRetriesExhaustedError, match=rf"the proxy .* made no connection to {HOST}"):
        create()
    assert not oleria_sandbox.count("create")


def test_a_socks_proxy_that_does_not_resolve_names_is_not_called_unknown(
    oleria_sandbox: Sandbox, tenant: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://127.0.0.1:{proxy.port}")
    tenant()
    with pytest.raises(OleriaError, match=rf"or that of {HOST}, cannot be resolved. .* socks5h://"):
        OleriaHook().get_download("some-id")


def test_a_proxy_by_https_serves_both_or_is_named_as_one_of_two(
    download_id: str, tenant: Any, proxy: Proxy, authority: Authority, ask: Ask, tmp_path: Path
) -> None:
    """TLS to the proxy, and inside it TLS to the host."""
    tenant()
    with (
        tls_in_front_of(proxy.port, authority.issue("localhost")) as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", f"https://user:pass-word@localhost:{port}")
        assert ask(download_id).download_id == download_id
    assert len(proxy.requests) > 0
    untrusted = Authority(tmp_path, "another-ca").issue("localhost")
    with tls_in_front_of(proxy.port, untrusted) as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", f"https://user:pass-word@localhost:{port}")
        TOKENS.clear()
        with pytest.raises(
            OleriaConfigurationError, match="the TLS certificate of one of the two is not trusted"
        ):
            ask(download_id)


def test_loopback_hosts_are_reached_directly(
    oleria_sandbox: Sandbox, download_id: str, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://no-such-proxy.invalid:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    TOKENS.clear()
    assert ask(download_id).download_id == download_id
    OleriaHook().save_download(download_id, (tmp_path / "out.csv").as_uri())


@pytest.fixture
def socks_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """The proxy by SOCKS5, which also resolves the names."""
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
    return proxy


def test_a_socks_proxy_serves_api_and_store_in_a_worker(
    oleria_sandbox: Sandbox,
    large_download: str,
    tenant: Any,
    socks_proxy: Proxy,
    authority: Authority,
    tmp_path: Path,
) -> None:
    socks_proxy.certificates[STORE] = authority.issue(STORE)
    url = str(OleriaHook().get_download(large_download).url)
    behind = url.replace(oleria_sandbox.api_url, f"https://{STORE}")
    oleria_sandbox.fail(Fault("get", fields={"url": behind}, times=None))
    tenant()

    save(large_download, tmp_path / "new" / "out.csv")

    assert behind.startswith(f"https://{STORE}/")
    assert_whole(oleria_sandbox, large_download, tmp_path / "new" / "out.csv")
    # One connection to the API, and one for each range in flight to the store.
    assert set(socks_proxy.requests) == {f"SOCKS {HOST}", f"SOCKS {STORE}"}
    assert socks_proxy.requests.count(f"SOCKS {STORE}") > 1


def test_the_triggerer_refuses_a_socks_proxy(
    oleria_sandbox: Sandbox, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://user:pass-word@proxy.example:1080")
    tenant()
    with pytest.raises(OleriaConfigurationError, match="the triggerer cannot use") as raised:
        asyncio.run(OleriaHook().aget_download("some-id"))
    assert "socks5h://proxy.example:1080 (from ALL_PROXY)" in str(raised.value)


def test_a_socks_proxy_is_refused_before_a_deferrable_task_starts_an_export(
    oleria_sandbox: Sandbox, tenant: Any, socks_proxy: Proxy, tmp_path: Path
) -> None:
    tenant()
    task = OleriaDownloadOperator(
        task_id="identities",
        data_context="identities",
        destination=(tmp_path / "out.csv").as_uri(),
        deferrable=True,
        durable=False,
    )
    with pytest.raises(AirflowFailException, match="run the task with deferrable=False"):
        task.execute({})
    assert not socks_proxy.requests
    assert not oleria_sandbox.calls


@pytest.mark.parametrize("scheme", ["socks4a", "socks5", "SOCKS5H"])
def test_a_socks_proxy_without_pysocks_names_what_to_install(
    oleria_sandbox: Sandbox, tenant: Any, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)  # as if it were not installed
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://proxy.example:1080")
    tenant()
    with pytest.raises(OleriaConfigurationError, match=r"needs PySocks: pip install 'requests\[socks\]'"):
        OleriaHook().create_download("identities")
    assert not oleria_sandbox.calls


def test_what_was_not_sent_is_not_lost(oleria_sandbox: Sandbox) -> None:
    client = OleriaHook()._client
    with pytest.raises(OleriaInputError, match="NaN"):
        client.run(protocol.call("POST", protocol.DOWNLOADS, {"context": "x", "limit": float("nan")}))
    settings = client.settings
    for url in ("https://devx..oleria.io/", f"https://{'a' * 70}.example/", "https://[::1", "https:///path"):
        with pytest.raises(OleriaFatalError) as raised:
            SafeSession(settings).post(url, json={}, withhold_token=True)
        assert not isinstance(raised.value, OleriaResponseLostError)
    with pytest.raises(OleriaFatalError):
        SafeSession(settings).post(
            f"{oleria_sandbox.api_url}/v1/downloads",
            headers={"X-Odd": "a\r\nb: c"},
            json={},
            withhold_token=True,
        )
    assert not oleria_sandbox.count("create")


def test_a_connection_that_breaks_before_the_request_is_not_a_lost_response(oleria_sandbox: Sandbox) -> None:
    """During the TLS handshake: a POST is safe to repeat."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        session = SafeSession(OleriaHook()._settings)
        with pytest.raises(OleriaError) as raised:
            session.post(f"https://127.0.0.1:{listener.getsockname()[1]}/", json={}, withhold_token=True)
        thread.join()
    assert not isinstance(raised.value, OleriaResponseLostError)


def test_the_path_is_sent_as_it_was_signed(oleria_sandbox: Sandbox, download_id: str, tmp_path: Path) -> None:
    url = f"{oleria_sandbox.api_url}//folder/../x%7ey.csv?X-Amz-Signature=f00d"
    oleria_sandbox.fail(Fault("get", fields={"url": url}, times=None))
    with pytest.raises(OleriaError):
        OleriaHook().save_download(download_id, (tmp_path / "out.csv").as_uri())
    paths = {call.path for call in oleria_sandbox.calls if call.kind not in ("get", "token")}
    assert len(paths) == 1
    assert paths.pop().startswith("//folder/")


def test_no_representation_shows_a_password(monkeypatch: pytest.MonkeyPatch, oleria_sandbox: Sandbox) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass-word@proxy.example:3128")
    route = find_route("https://devx.example", OleriaHook()._settings)
    assert route.proxy is not None
    assert "pass-word" not in f"{route!r} {route.proxy}"
