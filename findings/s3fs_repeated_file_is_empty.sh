#!/usr/bin/env bash
# s3fs: a part given as a file is sent empty when the call is repeated, and the upload succeeds.
#
# The good guess: fs.call_s3("upload_part", Body=file) may be repeated safely, as with a boto3 client, which seeks the
# file back before each of its attempts.
# What happens: botocore does seek back in its own five attempts. When they are used up, s3fs repeats the call with the
# same arguments, and the file is at its end: a part of 0 bytes is stored, the upload is completed, nothing is raised.
# Seen on 2026-11-28 with the versions below, against moto's S3, whose first five answers to a part are 503 SlowDown (the
# normal answer of a busy S3). Remedy: give bytes or a bytearray, not a file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check s3fs==2026.9.0 'moto[server]==5.2.5'
cd "$folder" && venv/bin/python - <<'PY'
import io
import logging
import os
import threading

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key", "AWS_DEFAULT_REGION": "us-east-1"}
import s3fs
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

store = DomainDispatcherApplication(create_backend_app)
slow_down = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
left = 0


def busy_store(environ, start_response):
    global left
    if left and "partNumber" in environ["QUERY_STRING"]:
        left -= 1
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [slow_down]
    return store(environ, start_response)


server = make_server("127.0.0.1", 0, busy_store, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
fs = s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{server.server_port}")
fs.mkdir("lake")
content, seen = b"id,name\n" * 1000, {}
for body in (content, io.BytesIO(content)):
    place = {"Bucket": "lake", "Key": "accounts.csv"}
    upload = fs.call_s3("create_multipart_upload", **place)["UploadId"]
    left = 5
    part = fs.call_s3("upload_part", **place, UploadId=upload, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    fs.call_s3("complete_multipart_upload", **place, UploadId=upload, MultipartUpload=parts)
    fs.invalidate_cache()
    seen[type(body).__name__] = fs.size("lake/accounts.csv")
    print(f"{len(content)} bytes given as {type(body).__name__}: no error, the object has {seen[type(body).__name__]}")
server.shutdown()
assert seen == {"bytes": 8000, "BytesIO": 0}, "the behaviour has changed"
PY
