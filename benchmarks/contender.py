"""One transfer in a process of its own: ``python contender.py ours|requests:CHUNK|upload_file URL PATH``.

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


def upload_file() -> Transfer:
    """Eight ranges into a local file, then boto3's ``upload_file``."""
    import boto3
    import requests

    client = boto3.client("s3")  # finds endpoint and keys in the environment

    def run(url: str, path: str) -> dict[str, Any]:
        bucket, _, key = path.removeprefix("s3://").partition("/")
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
            client.upload_file(file.name, bucket, key)
        return {}

    return run


def main(name: str, url: str, path: str) -> None:
    """Run one transfer and print the figures."""
    match name.partition(":"):
        case "ours", _, _:
            run = ours(path)
        case "upload_file", _, _:
            run = upload_file()
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
