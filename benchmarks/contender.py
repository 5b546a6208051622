"""One transfer in a process of its own: ``python contender.py ours|requests:CHUNK|CLIENT URL PATH``.

Prints, as JSON, what the transfer took beyond the idle process: wall and CPU time in seconds, and peak memory in KiB.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

RANGES = 8

Transfer = Callable[[str, str], dict[str, Any]]


def ours(path: str) -> Transfer:
    """The package's own, with its checks: length, sha256, row count."""
    from airflow_provider_oleria.connection.settings import Settings
    from airflow_provider_oleria.downloads import SaveOptions
    from airflow_provider_oleria.transfer.destination import resolve
    from airflow_provider_oleria.transfer.pipeline import transfer

    settings = Settings("http://127.0.0.1", "http://127.0.0.1", "client", "secret")
    resolve(path).exists()  # loads the filesystem of its store, which makes its client

    def run(url: str, path: str) -> dict[str, Any]:
        return asdict(transfer(lambda: url, resolve(path), settings, SaveOptions()))

    return run


def plain(chunk: int) -> Transfer:
    """A plain ``requests`` loop without checks."""
    import requests

    def run(url: str, path: str) -> dict[str, Any]:
        with requests.get(url, stream=True, timeout=60) as response, Path(path).open("wb") as file:
            response.raise_for_status()
            for piece in response.iter_content(chunk):
                file.write(piece)
        return {}

    return run


def by_client(send: Callable[[str, str, str], object]) -> Transfer:
    """Eight ranges into a local file, then the store's own client.

    :param send: sends a local file to a bucket, under a key.
    """
    import requests

    def run(url: str, path: str) -> dict[str, Any]:
        bucket, _, key = path.partition("@")[2].partition("/")
        with tempfile.NamedTemporaryFile() as file, requests.Session() as session:
            size = int(session.head(url, timeout=60).headers["Content-Length"])
            bounds = [size * index // RANGES for index in range(RANGES + 1)]

            def fetch(start: int, end: int) -> None:
                headers = {"Range": f"bytes={start}-{end - 1}"}
                with session.get(url, headers=headers, stream=True, timeout=60) as response:
                    response.raise_for_status()
                    for piece in response.iter_content(1024 * 1024):
                        os.pwrite(file.fileno(), piece, start)
                        start += len(piece)

            with ThreadPoolExecutor(RANGES) as pool:
                list(pool.map(fetch, bounds[:-1], bounds[1:]))
            send(file.name, bucket, key)
        return {}

    return run


def upload_file() -> Transfer:
    """boto3's, which finds endpoint and keys in the environment."""
    import boto3

    return by_client(boto3.client("s3").upload_file)


def upload_blob() -> Transfer:
    """azure-storage-blob's, with as many connections."""
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])

    def send(file: str, bucket: str, key: str) -> None:
        with Path(file).open("rb") as data:
            client.get_blob_client(bucket, key).upload_blob(data, max_concurrency=RANGES)

    return by_client(send)


def upload_from_filename() -> Transfer:
    """google-cloud-storage's, which finds the endpoint in the environment."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    client = Client("lakes", AnonymousCredentials())
    return by_client(lambda file, bucket, key: client.bucket(bucket).blob(key).upload_from_filename(file))


CLIENTS = {function.__name__: function for function in (upload_file, upload_blob, upload_from_filename)}


def main(name: str, url: str, path: str) -> None:
    """Run one transfer and print the figures."""
    match name.partition(":"):
        case "ours", _, _:
            run = ours(path)
        case client, _, _ if client in CLIENTS:
            run = CLIENTS[client]()
        case _, _, chunk:
            run = plain(int(chunk))
    idle, wall, cpu = _memory_kib("VmRSS"), time.perf_counter(), time.process_time()
    result = run(url, path)
    took = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**took, "peak_kib": _memory_kib("VmHWM") - idle, **result}))


def _memory_kib(name: str) -> int:
    # Not ru_maxrss, of which a process inherits that of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
