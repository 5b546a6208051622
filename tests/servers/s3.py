"""A real S3 API, played by moto."""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.http import serving


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own for each test.

    :param name: of the bucket.
    :param client: a boto3 client to look inside with.
    """

    name: str
    client: Any

    def path(self, key: str) -> str:
        """An object, as Airflow names it."""
        return f"s3://aws_default@{self.name}/{key}"

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def parts(self, key: str) -> int:
        """The number of parts of an object's multipart upload; 0 for a single PUT."""
        etag = self.client.head_object(Bucket=self.name, Key=key)["ETag"].strip('"')
        return int(etag.partition("-")[2] or 0)

    def unfinished_uploads(self) -> list[str]:
        """The keys of multipart uploads that were neither completed nor aborted: invisible, and paid for."""
        uploads = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return [upload["Key"] for upload in uploads]

    def presigned(self, key: str, seconds: int = 300) -> str:
        """A URL to an object, as boto3 presigns it."""
        url: str = self.client.generate_presigned_url(
            "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
        )
        return url


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The S3 API of moto, in a thread; one for all tests, since Airflow keeps the filesystems it has opened."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket behind the Connection ``aws_default``."""
    import boto3
    from botocore.config import Config

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    keys = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "test"}
    connection = {
        "conn_type": "aws",
        "login": keys["aws_access_key_id"],
        "password": keys["aws_secret_access_key"],
        "extra": {
            "endpoint_url": s3_endpoint,
            "region_name": "us-east-1",
            # s3fs' own 5 and 15 s are too short for a busy machine.
            "config_kwargs": {"connect_timeout": 60, "read_timeout": 60},
        },
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        # As the API presigns: SigV4, all of it in the query.
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        **keys,
    )
    made = Bucket(f"lake-{uuid.uuid4().hex[:8]}", client)
    client.create_bucket(Bucket=made.name)
    return made


@dataclass
class Gateway:
    """An HTTP server before the S3 API that refuses some requests; also an HTTP proxy.

    :param target: the URL of the S3 API.
    :param refuse: method and URL path with query → status and S3's error code, or ``None`` to pass the request on.
        Called in the thread of the request.
    :param requests: method and URL path with query of each request.
    :param most_parts: the largest number of parts that were in flight at once.
    """

    target: str
    refuse: Callable[[str, str], tuple[int, str] | None] = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    most_parts: int = 0

    @contextmanager
    def serving(self) -> Iterator[str]:
        gateway, lock, parts = self, threading.Lock(), set[int]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_part = "partNumber=" in self.path
                with lock:
                    gateway.requests.append((self.command, self.path))
                    if is_part:
                        parts.add(id(self))
                        gateway.most_parts = max(gateway.most_parts, len(parts))
                if refused := gateway.refuse(self.command, self.path):
                    status, code = refused
                    text = f"<Error><Code>{code}</Code><Message>{code} by the gateway</Message></Error>"
                    self.answer(status, {"Content-Type": "application/xml"}, text.encode())
                else:
                    url = urlsplit(gateway.target)
                    connection = HTTPConnection(url.hostname or "", url.port)
                    # A proxy is sent the whole URL.
                    path = re.sub("^http://[^/]*", "", self.path)
                    connection.request(self.command, path, body, dict(self.headers))
                    response = connection.getresponse()
                    self.answer(response.status, dict(response.getheaders()), response.read())
                    connection.close()
                with lock:
                    parts.discard(id(self))

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        with serving(Handler) as url:
            yield url
