"""A stand-in for Hadoop's WebHDFS, as its documentation describes it. One user may only read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.servers.http import serving

PREFIX = "/webhdfs/v1"

READER = "reader"
"""The user who may not write."""

STRANGER = "stranger"
"""A user whom the server does not know."""


@contextmanager
def hadoop(files: dict[str, bytes]) -> Iterator[str]:
    """The URL of a server.

    :param files: path → content; a folder exists if a file does in it.
    """

    class Hadoop(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_operation(self) -> None:
            url = urlsplit(self.path)
            path, query = unquote(url.path.removeprefix(PREFIX)), dict(parse_qsl(url.query))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = query["op"]
            if query["user.name"] == STRANGER:
                self.respond(401)
            elif self.command != "GET" and query["user.name"] == READER:
                message = f"Permission denied: user={READER}, access=WRITE, inode={path!r}"
                self.refuse(403, "AccessControlException", message)
            elif operation in ("CREATE", "APPEND") and "datanode" not in query:
                # The name node sends the client to a data node.
                self.respond(307, location=f"http://{self.headers['Host']}{self.path}&datanode=true")
            elif operation == "CREATE":
                files[path] = body
                self.respond(201)
            elif operation == "APPEND":
                files[path] += body
                self.respond(200)
            elif operation == "RENAME":
                is_free = path in files and query["destination"] not in files
                if is_free:
                    files[query["destination"]] = files.pop(path)
                self.respond(200, {"boolean": is_free})
            elif operation == "DELETE":
                self.respond(200, {"boolean": files.pop(path, None) is not None})
            elif operation == "MKDIRS":
                self.respond(200, {"boolean": True})
            elif (status := self.status(path)) is None:
                self.refuse(404, "FileNotFoundException", f"File does not exist: {path}")
            elif operation == "GETFILESTATUS":
                self.respond(200, {"FileStatus": status})
            elif operation == "LISTSTATUS":
                names = {file.removeprefix(f"{path}/").partition("/")[0] for file in self.below(path)}
                found = [{**(self.status(f"{path}/{name}") or {}), "pathSuffix": name} for name in names]
                self.respond(200, {"FileStatuses": {"FileStatus": found}})
            else:
                self.refuse(
                    400, "IllegalArgumentException", f"Invalid value for webhdfs parameter op: {operation}"
                )

        do_GET = do_PUT = do_POST = do_DELETE = handle_operation

        def below(self, folder: str) -> list[str]:
            return [file for file in files if file.startswith(f"{folder}/")]

        def status(self, path: str) -> dict[str, object] | None:
            if path in files:
                return {"type": "FILE", "length": len(files[path]), "pathSuffix": ""}
            return {"type": "DIRECTORY", "length": 0, "pathSuffix": ""} if self.below(path) else None

        def refuse(self, status: int, exception: str, message: str) -> None:
            self.respond(status, {"RemoteException": {"exception": exception, "message": message}})

        def respond(self, status: int, content: object = None, location: str | None = None) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Hadoop) as url:
        yield url
