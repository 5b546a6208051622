#!/usr/bin/env bash
# aiobotocore: a body given as a bytearray is copied once or twice on its way, the same body given as bytes is not.
#
# The good guess: whoever fills a buffer of parts gives it as it is, since bytes(buffer) would only add a copy.
# What happens: beside 64 MiB of bytes 1.0 times as much is held while it is sent, beside a bytearray 2.9 times on
# Python 3.11.7 and 2.0 times on 3.13.0. aiohttp cuts the body to its Content-Length, a slice that copies a bytearray and
# not bytes. With eight parts of 5 MiB in flight that is 40 to 80 MiB more. bytes(buffer) moves the copy to the caller,
# who keeps it until the part is sent: it pays only if the buffer goes at once.
# Seen on 2026-11-28 with the versions below, against a server that reads all and answers 200.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiobotocore==3.10.0 aiohttp==3.14.5
cd "$folder" && venv/bin/python - <<'PY'
import asyncio
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiobotocore.session import get_session

SIZE = 64 * 2**20


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        self.send_response(200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args): ...


server = HTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {
    "endpoint_url": f"http://127.0.0.1:{server.server_port}",
    "region_name": "us-east-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
seen = {}


async def main():
    async with get_session().create_client("s3", **options) as client:
        await client.put_object(Bucket="lake", Key="first.csv", Body=b"id\n")
        for kind in (bytes, bytearray):
            body = kind(SIZE)
            tracemalloc.start()
            await client.put_object(Bucket="lake", Key="accounts.csv", Body=body)
            seen[kind.__name__] = tracemalloc.get_traced_memory()[1] / SIZE
            tracemalloc.stop()
            print(f"{SIZE:,} bytes given as {kind.__name__}: {seen[kind.__name__]:.1f} times as much beside them")


asyncio.run(main())
assert seen["bytes"] < 1.6, "the behaviour has changed"
assert seen["bytearray"] > seen["bytes"] + 0.8, "the behaviour has changed"
PY
