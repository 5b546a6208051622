#!/usr/bin/env bash
# Airflow: each secret that is masked makes the next one more expensive, in time and in memory, until the process ends.
#
# The good guess: mask_secret() adds one entry to a set; a long-running triggerer may mask each new access token.
# What happens: every new secret compiles one regular expression of all secrets so far, and the re module keeps up to 512
# of these. Of access tokens of 900 characters the 200th takes a hundred times as long as the first ones, and the process
# has grown by 130 MiB or more. While it compiles, no other thread runs: the event loop of a triggerer stands still.
# Seen on 2026-11-28 with Python 3.11.7 and the version below.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apache-airflow==3.3.2
cd "$folder" && export AIRFLOW_HOME="$folder/airflow" && venv/bin/python - <<'PY'
import resource
import secrets
import statistics
import time

from airflow.sdk.log import mask_secret


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


seconds, before = [], memory()
for _ in range(200):
    token = secrets.token_urlsafe(675)
    start = time.process_time()
    mask_secret(token)
    seconds.append(time.process_time() - start)
first, last = statistics.median(seconds[:10]), statistics.median(seconds[-10:])
print(f"tokens 1 to 10: {first * 1000:.0f} ms of CPU each; 191 to 200: {last * 1000:.0f} ms; {memory() - before:.0f} MiB")
assert last > 10 * first, "the behaviour has changed"
assert memory() - before > 50, "the behaviour has changed"
PY
