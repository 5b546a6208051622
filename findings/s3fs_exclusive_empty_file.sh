#!/usr/bin/env bash
# s3fs: mode "xb" refuses to replace an object, unless nothing is written.
#
# The good guess: open(path, "xb") never replaces an existing object (If-None-Match, as documented for s3fs).
# What happens: with data, close() raises FileExistsError and the object stays. Without data (an empty marker such as
# _SUCCESS, or an export with no rows and no header) the object is replaced by an empty one, and nothing is raised.
# Seen on 2026-11-28 with the versions below, against moto's S3. Remedy: pipe_file(path, b"", mode="create").
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check s3fs==2026.9.0 'moto[server]==5.2.5'
cd "$folder" && venv/bin/python - <<'PY'
import logging
import os

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key", "AWS_DEFAULT_REGION": "us-east-1"}
import s3fs
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
fs = s3fs.S3FileSystem(endpoint_url="http://{}:{}".format(*server.get_host_and_port()))
fs.mkdir("lake")
seen = {}
for content in (b"new", b""):
    fs.pipe_file("lake/accounts.csv", b"old")
    try:
        with fs.open("lake/accounts.csv", "xb") as file:
            file.write(content)
        outcome = "no error"
    except FileExistsError:
        outcome = "FileExistsError"
    seen[content] = (outcome, fs.cat_file("lake/accounts.csv"))
    print(f"{content!r} written over b'old' with mode xb: {outcome}, the object is now {seen[content][1]!r}")
server.stop()
assert seen == {b"new": ("FileExistsError", b"old"), b"": ("no error", b"")}, "the behaviour has changed"
PY
