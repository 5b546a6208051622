"""What only GCS has: gcsfs uses a proxy only if the Connection has ``trust_env``, and zonal buckets."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from tests.servers.s3 import Gateway
from tests.servers.stores import Store, connection


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    "session", [{}, {"gcs.session-kwargs": {"trust_env": True}}], ids=["default", "trust_env"]
)
def test_data_goes_through_a_proxy_if_the_connection_has_trust_env(
    gcs: Store,
    gcs_emulator: tuple[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    session: dict[str, Any],
) -> None:
    endpoint, _ = gcs_emulator
    extra = {"is_anonymous": True, "project": "lakes", "gcs.endpoint": endpoint, **session}
    conn_id = connection(monkeypatch, conn_type="google_cloud_platform", extra=extra)
    bucket = gcs.url.rpartition("@")[2]
    proxy = Gateway(endpoint)
    with proxy.serving() as url, monkeypatch.context() as environment:
        environment.setenv("http_proxy", url)  # the emulator serves plain http
        with publish(resolve(f"gs://{conn_id}@{bucket}/out.csv"), 0) as file:
            file.write(b"id\n1\n")

    assert gcs.files() == {"out.csv": b"id\n1\n"}
    assert bool(proxy.requests) == bool(session)


def test_a_zonal_bucket_is_refused_before_a_download(gcs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: no emulator has such buckets, of which gcsfs learns by gRPC."""
    import gcsfs

    async def is_zonal(fs: object, bucket: str) -> bool:
        return gcs.url.endswith(bucket)

    monkeypatch.setattr(gcsfs.GCSFileSystem, "_is_zonal_bucket", is_zonal, raising=False)
    gcs.put("out.csv", b"previous")
    with pytest.raises(
        OleriaInputError, match="a zonal bucket shows a file under its name while it is written"
    ):
        check_writable(resolve(f"{gcs.url}/out.csv"))

    assert gcs.files() == {"out.csv": b"previous"}
    assert gcs.leftovers() == []
