"""Azure Blob Storage, played by Microsoft's Azurite."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.processes import free_port, listens, until
from tests.servers.stores import Store, connection

AZURITE = Path(__file__).parents[2] / ".venv-stores" / "azurite"
"""Where `make test-stores` installs it, from npm."""

ACCOUNT = "lakes"
KEY = base64.b64encode(b"the key of the account").decode()


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The URL of the account, from a process of its own."""
    program = Path(os.environ.get("AZURITE", AZURITE)) / "node_modules/azurite/dist/src/blob/main.js"
    node = shutil.which("node")
    if node is None or not program.exists() or find_spec("adlfs") is None:
        pytest.skip("adlfs, Node.js and Azurite are needed: make test-stores")
    port = free_port()
    options = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    process = subprocess.Popen(
        [node, program, "--blobPort", str(port), *options],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

    try:
        until(lambda: listens(port) or process.poll() is not None, "Azurite listens")
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def azure(azurite: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A container of its own for each test."""
    from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

    name = f"lake-{uuid.uuid4().hex[:8]}"

    def connection_string(endpoint: str = azurite, **secret: str) -> str:
        parts = {"AccountName": ACCOUNT, **(secret or {"AccountKey": KEY}), "BlobEndpoint": endpoint}
        parts["DefaultEndpointsProtocol"] = "http"
        return ";".join(f"{name}={value}" for name, value in parts.items())

    def conn_id(endpoint: str = azurite, **secret: str) -> str:
        extra = {"connection_string": connection_string(endpoint, **secret)}
        return connection(monkeypatch, conn_type="wasb", extra=extra)

    container = ContainerClient.from_connection_string(connection_string(), name)
    container.create_container()

    def read_only() -> str:
        return generate_container_sas(
            ACCOUNT,
            name,
            KEY,
            permission=ContainerSasPermissions(read=True, list=True),
            expiry=datetime.now(UTC) + timedelta(days=1),
        )

    def uncommitted() -> list[str]:
        """Blobs that have nothing but uncommitted blocks."""
        found = container.list_blobs(include=["uncommittedblobs"])
        return sorted({blob.name for blob in found} - set(files()))

    def files() -> dict[str, bytes]:
        return {blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()}

    return Store(
        url=f"abfs://{conn_id()}@{name}",
        put=container.upload_blob,
        files=files,
        leftovers=uncommitted,
        is_tidied_later=True,
        broken={
            "missing": lambda: f"abfs://{conn_id()}@nosuch",
            "forbidden": lambda: f"abfs://{conn_id(SharedAccessSignature=read_only())}@{name}",
            "credentials": lambda: (
                f"abfs://{conn_id(AccountKey=base64.b64encode(b'another').decode())}@{name}"
            ),
            "unreachable": lambda: f"abfs://{conn_id(f'http://127.0.0.1:1/{ACCOUNT}')}@{name}",
        },
    )
