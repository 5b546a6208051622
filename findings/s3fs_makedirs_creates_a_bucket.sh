#!/usr/bin/env bash
# s3fs: makedirs() of a folder in a bucket that does not exist creates the bucket.
#
# The good guess: folders do not exist on S3, so makedirs("bucket/a/b") does nothing; a misspelled bucket is noticed.
# What happens: where the credentials allow it, the misspelled bucket is created, in the default region and with the
# default settings, and the file goes there. Code that makes the parent folder before it writes (as for a local path)
# turns a typing error into a second bucket. A write without makedirs() raises FileNotFoundError.
# Seen on 2026-11-28 with the versions below, against moto's S3. Remedy: no makedirs() on object stores.
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
try:
    fs.pipe_file("lkae/oleria/accounts.csv", b"data")
    without = "written"
except FileNotFoundError as problem:
    without = str(problem)
fs.makedirs("lkae/oleria", exist_ok=True)
buckets = fs.ls("", refresh=True)
print("write alone:", without)
print("buckets after makedirs('lkae/oleria'):", buckets)
server.stop()
assert without == "The specified bucket does not exist", "the behaviour has changed"
assert buckets == ["lkae"], "the behaviour has changed"
PY
