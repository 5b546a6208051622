"""An S3 API that keeps objects in memory and checks nothing: ``python s3_store.py PORT``.

It costs less processor time than its clients. moto, which the tests use, takes 4 s for 240 MB, more than what is
measured.
"""

from __future__ import annotations

import sys
import uuid
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

objects: dict[str, bytes] = {}
uploads: defaultdict[str, dict[int, bytes]] = defaultdict(dict)


class Handler(BaseHTTPRequestHandler):
    """What a client needs to send an object, in one request or in parts, and to read it."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self._body()
        upload, number = self._query("uploadId"), self._query("partNumber")
        if number:
            uploads[upload][int(number)] = body
        else:
            objects[self._key] = body
        self._answer(b"", ETag=f'"{uuid.uuid4().hex}"')

    def do_POST(self) -> None:
        self._body()
        upload = self._query("uploadId")
        if upload:
            parts = uploads.pop(upload)
            objects[self._key] = b"".join(parts[number] for number in sorted(parts))
            self._answer(b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
        else:
            bucket, _, key = self._key.strip("/").partition("/")
            xml = f"<Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{uuid.uuid4().hex}</UploadId>"
            self._answer(f"<InitiateMultipartUploadResult>{xml}</InitiateMultipartUploadResult>".encode())

    def do_GET(self) -> None:
        if "uploads" in urlsplit(self.path).query:
            self._answer(b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        else:
            self._answer(objects.get(self._key, b""))

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        uploads.pop(self._query("uploadId"), None)
        self._answer(b"")

    def log_message(self, *args: object) -> None: ...

    @property
    def _key(self) -> str:
        return urlsplit(self.path).path

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
