"""Presigned URLs that lead to another place than a store: refused before anything is sent."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_oleria.check.calls import Calls
from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.connection.settings import Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaConfigurationError, OleriaError
from airflow_provider_oleria.net.addresses import check_address, check_presigned_url
from airflow_provider_oleria.transfer.pipeline import transfer
from airflow_provider_oleria.transfer.stored_object import StoredObject

from .raw_server import raw_server

SETTINGS = Settings(
    "https://devx.tenant.example",
    "https://auth.example",
    "id",
    "secret",
)
SANDBOX = replace(SETTINGS, api_url="http://127.0.0.1:8000")

PRIVATE = [
    "127.0.0.1",
    "192.0.2.1",
    "198.51.100.7",
    "::1",
    "2001:db8::1",
    "::ffff:192.0.2.1",
    "64:ff9b::c000:201",
    "2002:c000:201::1",
]
"""Of this machine, or for documentation, which no public route leads to; also as IPv6 carries them."""


def refusal(url: str, settings: Settings = SETTINGS) -> str:
    with pytest.raises(OleriaError) as caught:
        check_presigned_url(url, settings)
    return str(caught.value)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_with_the_remedy(address: str) -> None:
    url = f"https://[{address}]/x.csv?sig=f00d" if ":" in address else f"https://{address}/x.csv?sig=f00d"

    text = refusal(url)
    assert f"has the address {address}" in text
    assert f"add {address} to the Connection's extra 'store_hosts'" in text
    assert "f00d" not in text
    check_presigned_url(url, SANDBOX)
    with pytest.raises(OleriaConfigurationError):
        check_address("store.example", address, SETTINGS)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9999/x.csv",
        "http://localhost:9999/x.csv",
        "https://localhost/x.csv",
        "https://store.localhost./x.csv",
    ],
)
def test_this_machine_is_refused_by_name_and_address(url: str) -> None:
    assert "of this machine or a private network" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.example/x.csv",
        "https:///x.csv",
        "https://store.example:99999/x.csv",
        "https://store.example\\@127.0.0.1/x.csv",
        "https://store.example/x.csv\r\nX-Note: 1",
        "https://sto\tre.example/x.csv",
        " https://store.example/x.csv",
        "https://127.1/x.csv",
        "https://2130706433/x.csv",
        "https://0x7f.1/x.csv",
        "https://[::1/x.csv",
    ],
)
def test_a_url_that_parsers_read_differently_is_refused(url: str) -> None:
    assert refusal(url) == "the API returned a malformed presigned URL"
    assert refusal(url, SANDBOX) == "the API returned a malformed presigned URL"


@pytest.mark.parametrize("who", ["user:f00d@", "f00d@", "@"])
def test_credentials_in_a_url_are_refused_and_not_shown(who: str) -> None:
    text = refusal(f"https://{who}store.example/x.csv")

    assert "user name or password" in text
    assert "f00d" not in text


@pytest.mark.parametrize(
    ("host", "store_hosts", "is_allowed"),
    [
        ("bucket.s3.us-east-1.amazonaws.com", ("amazonaws.com",), True),
        ("bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com", ("amazonaws.com",), True),
        ("amazonaws.com.example", ("amazonaws.com",), False),
        ("notamazonaws.com", ("amazonaws.com",), False),
        ("store.example", ("amazonaws.com",), False),
        ("store.example.", ("store.example",), True),
        ("a.store.example", ("other.example", "store.example"), True),
        ("devx.tenant.example", (), True),  # the API's own host
    ],
)
def test_hosts_of_the_connection_may_have_private_addresses(
    host: str, store_hosts: tuple[str, ...], *, is_allowed: bool
) -> None:
    settings = replace(SETTINGS, store_hosts=store_hosts)
    check_presigned_url(f"https://{host}/x.csv", settings)
    if is_allowed:
        check_address(host, "192.0.2.1", settings)
    else:
        with pytest.raises(
            OleriaConfigurationError, match=rf"add {host} to the Connection's extra 'store_hosts'"
        ):
            check_address(host, "192.0.2.1", settings)


@pytest.mark.parametrize("who", ["transfer", "contract check"])
def test_a_name_is_resolved_once_and_all_its_addresses_are_checked(who: str) -> None:
    """The second address may be the one that the system would connect to."""
    looked_up = []

    def find(host: str, port: int) -> list[str]:
        looked_up.append((host, port))
        return ["93.184.215.14", "192.0.2.1"]

    url = "https://store.example/x.csv"
    with pytest.raises(OleriaConfigurationError, match=r"store\.example has the address 192\.0\.2\.1"):
        if who == "transfer":
            StoredObject(lambda: url, SETTINGS, 1, find).open()
        else:
            Calls(SETTINGS, find).file(url)
    assert looked_up == [("store.example", 443)]


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A second look-up would fail: the name is in no DNS."""
    hosts: list[str] = []

    def reply(request: str) -> bytes:
        hosts.append(request)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nid"

    with raw_server(reply) as url:
        port = url.rpartition(":")[2]
        # Plain http is for localhost alone; its address is the resolver's all the same.
        store = StoredObject(lambda: f"http://localhost:{port}/x.csv", SANDBOX, 1, lambda *_: ["127.0.0.1"])
        assert store.open().raw.read() == b"id"
        elsewhere = StoredObject(lambda: f"http://localhost:{port}/x.csv", SANDBOX, 1, no_address)
        with pytest.raises(OleriaError, match="its name cannot be resolved"):
            elsewhere._request(0, None)
    assert hosts == ["GET /x.csv"]


def no_address(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def test_a_worker_never_reads_from_a_service_of_its_own_machine(tmp_path: Path) -> None:
    requests = []

    def reply(request: str) -> bytes:
        requests.append(request)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nid\n1\n"

    with raw_server(reply) as url:
        destination = ObjectStoragePath((tmp_path / "out.csv").as_uri())
        with pytest.raises(OleriaConfigurationError, match=r"has the address 127\.0\.0\.1"):
            transfer(lambda: f"{url}/x.csv", destination, SETTINGS, SaveOptions())
        assert requests == []
        assert not list(tmp_path.iterdir())

        allowed = replace(SETTINGS, store_hosts=("127.0.0.1",))
        assert transfer(lambda: f"{url}/x.csv", destination, allowed, SaveOptions()).row_count == 1


def test_a_private_address_is_not_requested_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []
    with raw_server(lambda request: requests.append(request) or b"") as proxy:  # type: ignore[func-returns-value]  # None, so b''
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        store = StoredObject(lambda: "https://192.0.2.1/x.csv", SETTINGS, 1)
        with pytest.raises(OleriaConfigurationError, match=r"has the address 192\.0\.2\.1"):
            store.open()
    assert requests == []


def test_with_a_proxy_the_proxy_resolves_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    def refuse(request: str) -> bytes:
        requests.append(request)
        return b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"

    with raw_server(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        store = StoredObject(lambda: "https://store.example/x.csv", SETTINGS, 1, no_address)
        with pytest.raises(OleriaConfigurationError, match="answered 403 to the request to connect to store"):
            store.open()
    assert requests == ["CONNECT store.example:443"]
