"""The stores that ``upload.py`` sends to: each in memory, in a process of its own.

``rival`` is what one would send a file with, a contender of ``contender.py``; it reads the same environment.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
BUCKET = "lake"


class Store(Protocol):
    """A store; ``endpoint`` is its URL."""

    name: str
    rival: str
    url: str

    def command(self, port: int) -> list[Any]:
        """What runs it."""

    def environment(self, endpoint: str) -> dict[str, str]:
        """What its clients need."""

    def create_bucket(self, endpoint: str) -> None:
        """Before the first file."""

    def read(self, endpoint: str, name: str) -> bytes:
        """A file that was sent."""


class S3:
    """:mod:`s3_store`. moto, which the tests use, would take more processor time than its clients."""

    name, rival, url = "S3", "upload_file", f"s3://store@{BUCKET}"

    def command(self, port: int) -> list[Any]:
        return [sys.executable, HERE / "s3_store.py", port]

    def environment(self, endpoint: str) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
        rival = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        return {**keys, **rival, "AIRFLOW_CONN_STORE": json.dumps(connection)}

    def create_bucket(self, endpoint: str) -> None: ...

    def read(self, endpoint: str, name: str) -> bytes:
        import requests

        return requests.get(f"{endpoint}/{BUCKET}/{name}", timeout=60).content


class Azure:
    """Microsoft's Azurite, where ``make test-stores`` installs it."""

    name, rival, url = "Azure", "upload_blob", f"abfs://store@{BUCKET}"
    _program = HERE.parent / ".venv-stores/azurite/node_modules/azurite/dist/src/blob/main.js"
    _key = base64.b64encode(b"the key of the account").decode()

    def command(self, port: int) -> list[Any]:
        options = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        accounts = f"AZURITE_ACCOUNTS=lakes:{self._key}"
        return ["env", accounts, "node", self._program, "--blobPort", port, *options]

    def environment(self, endpoint: str) -> dict[str, str]:
        parts = f"AccountName=lakes;AccountKey={self._key};BlobEndpoint={endpoint}/lakes"
        text = f"DefaultEndpointsProtocol=http;{parts}"
        connection = {"conn_type": "wasb", "extra": {"connection_string": text}}
        return {"AZURE_STORAGE_CONNECTION_STRING": text, "AIRFLOW_CONN_STORE": json.dumps(connection)}

    def create_bucket(self, endpoint: str) -> None:
        self._container(endpoint).create_container()

    def read(self, endpoint: str, name: str) -> bytes:
        content: bytes = self._container(endpoint).download_blob(name).readall()
        return content

    def _container(self, endpoint: str) -> Any:
        from azure.storage.blob import ContainerClient

        text = self.environment(endpoint)["AZURE_STORAGE_CONNECTION_STRING"]
        return ContainerClient.from_connection_string(text, BUCKET)


class GCS:
    """gcp-storage-emulator."""

    name, rival, url = "GCS", "upload_from_filename", f"gs://store@{BUCKET}"

    def command(self, port: int) -> list[Any]:
        return [
            Path(sys.executable).parent / "gcp-storage-emulator",
            "start",
            f"--port={port}",
            "--in-memory",
            f"--default-bucket={BUCKET}",
        ]

    def environment(self, endpoint: str) -> dict[str, str]:
        extra = {"is_anonymous": True, "project": "lakes", "gcs.endpoint": endpoint}
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        return {
            "STORAGE_EMULATOR_HOST": endpoint,
            # Else gcsfs asks Google, by gRPC, for the kind of the bucket.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "AIRFLOW_CONN_STORE": json.dumps(connection),
        }

    def create_bucket(self, endpoint: str) -> None: ...

    def read(self, endpoint: str, name: str) -> bytes:
        import requests

        return requests.get(
            f"{endpoint}/download/storage/v1/b/{BUCKET}/o/{name}?alt=media", timeout=60
        ).content


STORES: list[Store] = [S3(), Azure(), GCS()]
