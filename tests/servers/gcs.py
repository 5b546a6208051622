"""Google Cloud Storage, played by gcp-storage-emulator, which knows neither rights nor credentials."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.servers.processes import free_port
from tests.servers.s3 import Gateway
from tests.servers.stores import Store, connection

# Else gcsfs asks Google, by gRPC, for the kind of each bucket. Read when gcsfs is imported.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[tuple[str, Any]]:
    """The emulator's URL, and the storage behind it."""
    if find_spec("gcp_storage_emulator") is None or find_spec("gcsfs") is None:
        pytest.skip("gcsfs and gcp-storage-emulator are needed: make test-stores")
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{port}", server._storage
    server.stop()


@pytest.fixture
def gcs(gcs_emulator: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket of its own for each test, behind a gateway that cancels uploads, as the emulator does not."""
    import requests

    url, storage = gcs_emulator
    name = f"lake-{uuid.uuid4().hex[:8]}"
    requests.post(f"{url}/storage/v1/b", json={"name": name}, timeout=60).raise_for_status()

    def cancel(method: str, path: str) -> tuple[int, str] | None:
        upload = parse_qs(urlsplit(path).query).get("upload_id")
        if method != "DELETE" or not upload:
            return None
        storage.resumable.pop(upload[0])
        return 499, "ClientClosedRequest"

    def conn_id(endpoint: str) -> str:
        extra = {"is_anonymous": True, "project": "lakes", "gcs.endpoint": endpoint}
        return connection(monkeypatch, conn_type="google_cloud_platform", extra=extra)

    def put(key: str, content: bytes) -> None:
        target = f"{url}/upload/storage/v1/b/{name}/o"
        query = {"uploadType": "media", "name": key}
        requests.post(target, params=query, data=content, timeout=60).raise_for_status()

    def files() -> dict[str, bytes]:
        listed = requests.get(f"{url}/storage/v1/b/{name}/o", timeout=60).json().get("items", [])
        keys = [item["name"] for item in listed]
        return {
            key: requests.get(
                f"{url}/download/storage/v1/b/{name}/o/{quote(key, safe='')}?alt=media", timeout=60
            ).content
            for key in keys
        }

    with ExitStack() as stack:
        endpoint = stack.enter_context(Gateway(url, cancel).serving())
        forbidden = stack.enter_context(Gateway(url, lambda *_: (403, "AccessDenied")).serving())
        unknown = stack.enter_context(Gateway(url, lambda *_: (401, "AuthenticationRequired")).serving())
        yield Store(
            url=f"gs://{conn_id(endpoint)}@{name}",
            put=put,
            files=files,
            leftovers=lambda: [id for id in storage.resumable if name in str(storage.resumable[id])],
            is_tidied_later=True,
            broken={
                "missing": lambda: f"gs://{conn_id(endpoint)}@nosuch-{uuid.uuid4().hex[:8]}",
                "forbidden": lambda: f"gs://{conn_id(forbidden)}@{name}",
                "credentials": lambda: f"gs://{conn_id(unknown)}@{name}",
                "unreachable": lambda: f"gs://{conn_id('http://127.0.0.1:1')}@{name}",
            },
        )
