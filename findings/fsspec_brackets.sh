#!/usr/bin/env bash
# fsspec: rm() and mv() take a name with brackets for a pattern, and act on another file.
#
# The good guess: rm("lake/x[1].csv") removes the object of that name; exists() says that it is there.
# What happens: brackets are a glob, also where an object of exactly that name exists. On S3, rm() removes x1.csv and
# leaves x[1].csv; in memory, mv("x[1].csv", "moved.csv") moves the other file, to moved.csv/x1.csv. The local
# filesystem moves the right file. An index in brackets is enough to meet it.
# Seen on 2026-11-28 with the versions below, against moto's S3. Remedy: rm_file() and cp_file(), which take names.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check s3fs==2026.9.0 'moto[server]==5.2.5'
cd "$folder" && venv/bin/python - <<'PY'
import logging
import os

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key", "AWS_DEFAULT_REGION": "us-east-1"}
import fsspec
import s3fs
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
s3 = s3fs.S3FileSystem(endpoint_url="http://{}:{}".format(*server.get_host_and_port()))
s3.mkdir("lake")
memory = fsspec.filesystem("memory")
local = fsspec.filesystem("file")
for fs, root in ((s3, "lake"), (memory, "/lake"), (local, os.getcwd())):
    for name in ("x1.csv", "x[1].csv"):
        fs.pipe_file(f"{root}/{name}", name.encode())
assert s3.exists("lake/x[1].csv")
s3.rm("lake/x[1].csv")
left = s3.ls("lake", refresh=True)
memory.mv("/lake/x[1].csv", "/lake/moved.csv")
local.mv(f"{os.getcwd()}/x[1].csv", f"{os.getcwd()}/moved.csv")
moved = {
    "memory": memory.find("/lake"),
    "local": sorted(name for name in os.listdir() if name.endswith(".csv")),
}
print("S3 after rm('lake/x[1].csv'):", left)
print("after mv('x[1].csv', 'moved.csv'):", moved)
server.stop()
assert left == ["lake/x[1].csv"], "the behaviour has changed"
assert moved == {
    "memory": ["/lake/moved.csv/x1.csv", "/lake/x[1].csv"],
    "local": ["moved.csv", "x1.csv"],
}, "the behaviour has changed"
PY
