"""What only GCS has: gcsfs uses a proxy only if the Connection has ``trust_env``."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Sandbox
from tests.servers.s3 import Gateway
from tests.servers.stores import Store, connection

from .exports import export


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    "session", [{}, {"gcs.session-kwargs": {"trust_env": True}}], ids=["default", "trust_env"]
)
def test_data_goes_through_a_proxy_if_the_connection_has_trust_env(
    oleria_sandbox: Sandbox,
    gcs: Store,
    gcs_emulator: tuple[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    session: dict[str, Any],
) -> None:
    endpoint, _ = gcs_emulator
    extra = {"is_anonymous": True, "project": "lakes", "gcs.endpoint": endpoint, **session}
    conn_id = connection(monkeypatch, conn_type="google_cloud_platform", extra=extra)
    bucket = gcs.url.rpartition("@")[2]
    download_id = export(oleria_sandbox)
    proxy = Gateway(endpoint)
    with proxy.serving() as url, monkeypatch.context() as environment:
        environment.setenv("http_proxy", url)  # the emulator serves plain http
        OleriaHook().save_download(download_id, f"gs://{conn_id}@{bucket}/out.csv")

    assert gcs.files() == {"out.csv": oleria_sandbox.expected(download_id).path.read_bytes()}
    assert bool(proxy.requests) == bool(session)
