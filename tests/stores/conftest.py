from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.airflow_names import attach
from tests.servers.s3 import Bucket, Gateway
from tests.servers.stores import Store, connection


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """Known to Airflow by ``attach()``, as a user makes any filesystem known."""
    store = fsspec.filesystem("memory")
    attach("memory", fs=store)
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture(params=["local", "s3", "azure", "gcs", "sftp", "smb"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn; a test is skipped where its emulator is not installed."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def local(tmp_path: Path) -> Store:
    """A folder."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (tmp_path / "file").touch()

    def found(*, is_part: bool) -> list[Path]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if path.name.startswith(".") == is_part]

    return Store(
        url=f"file://{folder}",
        put=lambda name, content: (folder / name).write_bytes(content),
        files=lambda: {str(p.relative_to(folder)): p.read_bytes() for p in found(is_part=False)},
        leftovers=lambda: [path.name for path in found(is_part=True)],
        broken={"missing": lambda: f"file://{tmp_path}/file"},
    )


@pytest.fixture
def s3(bucket: Bucket, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket of moto's; a gateway before it refuses where moto would not."""

    def conn_id(endpoint: str) -> str:
        keys = {"login": "AKIATEST", "password": "test"}
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        return connection(monkeypatch, conn_type="aws", extra=extra, **keys)

    forbidden = Gateway(s3_endpoint, lambda method, path: None if method == "GET" else (403, "AccessDenied"))
    unknown_key = Gateway(s3_endpoint, lambda method, path: (403, "InvalidAccessKeyId"))
    with forbidden.serving() as forbidding, unknown_key.serving() as unknowing:
        yield Store(
            url=f"s3://{conn_id(s3_endpoint)}@{bucket.name}",
            put=bucket.put,
            files=lambda: {key: bucket.read(key) for key in bucket.keys()},  # noqa: SIM118  # a method of its own
            leftovers=bucket.unfinished_uploads,
            broken={
                "missing": lambda: f"s3://{conn_id(s3_endpoint)}@nosuch-{uuid.uuid4().hex[:8]}",
                "forbidden": lambda: f"s3://{conn_id(forbidding)}@{bucket.name}",
                "credentials": lambda: f"s3://{conn_id(unknowing)}@{bucket.name}",
                "unreachable": lambda: f"s3://{conn_id('http://127.0.0.1:1')}@{bucket.name}",
            },
        )
