"""TLS certificates and CA bundles, as worker and triggerer judge them, over real sockets."""

from __future__ import annotations

import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaRetriesExhaustedError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.net.route import find_ca_bundle
from airflow_provider_oleria.sandbox import Fault, Sandbox
from tests.servers.certificates import REQUIRED, Authority
from tests.servers.proxy import HOST, STORE, Proxy

from .conftest import Ask

pytestmark = pytest.mark.usefixtures("no_variables")


@pytest.mark.parametrize("variable", ["verify", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", ["missing", "no PEM", "empty directory"])
def test_a_ca_bundle_that_cannot_be_used_is_named(
    oleria_sandbox: Sandbox,
    tenant: Any,
    proxy: Proxy,
    ask: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variable: str,
    content: str,
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content == "no PEM":
        bundle.write_text("-----BEGIN NOTHING-----\n")
    elif content == "empty directory":
        bundle.mkdir()
    if variable == "verify":
        tenant(verify=str(bundle))
    else:
        tenant(verify=None)
        monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(OleriaConfigurationError, match=variable) as raised:
        ask("some-id")
    assert str(bundle) in str(raised.value)
    with pytest.raises(OleriaConfigurationError):
        OleriaHook().create_download("identities")
    assert not oleria_sandbox.calls


def test_an_untrusted_ca_has_one_text_for_both(
    download_id: str, tenant: Any, proxy: Proxy, ask: Ask, tmp_path: Path
) -> None:
    tenant()
    OleriaHook().get_download(download_id)  # so that the next failure is the call's, not the token's
    proxy.certificates[HOST] = Authority(tmp_path, "another-ca").issue(HOST)
    with pytest.raises(OleriaConfigurationError) as raised:
        ask(download_id)
    text = str(raised.value)
    assert text.startswith(
        f"{HOST}, through the proxy http://127.0.0.1:{proxy.port} (from HTTPS_PROXY): its TLS"
    )
    assert "not trusted (unable to get local issuer certificate) by the CA bundle" in text
    assert "(from the Connection's extra 'verify'), which replaces the public CAs. Add the CA" in text


def test_a_certificate_for_another_name_is_not_a_matter_of_the_ca(
    download_id: str, tenant: Any, proxy: Proxy, authority: Authority, ask: Ask
) -> None:
    tenant()
    OleriaHook().get_download(download_id)
    proxy.certificates[HOST] = authority.issue("another.invalid")
    with pytest.raises(OleriaConfigurationError, match=r"is for another name \(Hostname mismatch") as raised:
        ask(download_id)
    assert "Add the CA" not in str(raised.value)


def test_a_certificate_that_has_expired_is_waited_for(
    download_id: str, tenant: Any, proxy: Proxy, authority: Authority, ask: Ask
) -> None:
    tenant(retry_delay=0.01, retry_attempts=2)
    OleriaHook().get_download(download_id)
    proxy.certificates[HOST] = authority.issue(HOST, days=-1)
    with pytest.raises(
        OleriaRetriesExhaustedError, match=r"not valid at this time \(certificate has exp"
    ) as raised:
        ask(download_id)
    assert "Add the CA" not in str(raised.value)


def test_a_directory_without_the_names_that_openssl_looks_for_is_pointed_out(
    download_id: str, tenant: Any, proxy: Proxy, authority: Authority, ask: Ask, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    shutil.copy(authority.bundle, folder)
    tenant(verify=str(folder))
    with pytest.raises(OleriaConfigurationError, match="and run 'openssl rehash' on this directory"):
        ask("some-id")


def test_a_bundle_without_the_stores_ca_is_named(
    oleria_sandbox: Sandbox, download_id: str, tenant: Any, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.certificates[STORE] = Authority(tmp_path, "another-ca").issue(STORE)
    oleria_sandbox.fail(
        Fault("get", fields={"url": f"https://{STORE}/x.csv?X-Amz-Signature=f00d"}, times=None)
    )
    tenant()
    with pytest.raises(OleriaConfigurationError, match=f"^{STORE}, .*Add the CA that signed") as raised:
        OleriaHook().save_download(download_id, (tmp_path / "out.csv").as_uri())
    assert "f00d" not in str(raised.value)


@pytest.mark.parametrize("lacks", REQUIRED)
def test_worker_and_triggerer_judge_a_careless_ca_alike(
    download_id: str, tenant: Any, authority: Authority, proxy: Proxy, ask: Ask, tmp_path: Path, lacks: str
) -> None:
    """Python 3.13 and newer refuse it; before, it is accepted. Which urllib3 is installed changes nothing."""
    careless = Authority(tmp_path, "careless-ca", lacks=lacks)
    bundle = tmp_path / "both.pem"
    bundle.write_bytes(authority.bundle.read_bytes() + careless.bundle.read_bytes())
    tenant(verify=str(bundle))
    OleriaHook().get_download(download_id)  # so that what follows is the call's, not the token's
    proxy.certificates[HOST] = careless.issue(HOST)

    if sys.version_info < (3, 13):
        assert ask(download_id).download_id == download_id
        return
    with pytest.raises(OleriaConfigurationError, match="its TLS certificate is not trusted") as raised:
        ask(download_id)
    assert f"by the CA bundle {bundle}" in str(raised.value)


def test_both_libraries_are_as_strict_as_python(oleria_sandbox: Sandbox) -> None:
    bundle = find_ca_bundle(OleriaHook()._settings)
    python = ssl.create_default_context()
    contexts = [bundle.tls_context("requests"), bundle.tls_context("aiohttp")]
    assert {context.verify_flags for context in contexts} == {python.verify_flags}
    assert all(context.check_hostname for context in contexts)
    assert bundle.tls_context("aiohttp") is contexts[1]
